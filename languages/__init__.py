"""What a person reads, in English or Chinese: the choice of the language, and the catalogue of the Chinese texts.

The English text stands in the code and is the key; its Chinese stands in ``locale/zh_CN/LC_MESSAGES/civic.po`` and nowhere else.
Every other package may import this one; it imports none of them.
"""
