"""Messages in English or Chinese: the choice of the language, and the catalogue of the Chinese texts.

The English text is in the code and is the key; the Chinese text is only in ``locale/zh_CN/LC_MESSAGES/civic.po``. All other
packages may import this one; it imports none of them.
"""
