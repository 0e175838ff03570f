"""Words and numbers: normalising, stemming and reading number words."""

import re
import unicodedata


def listed(words: str) -> frozenset[str]:
    """Return the words of a text as a set."""
    return frozenset(words.split())


TOKEN = re.compile(r"[a-z0-9]+(?:\.[0-9]+)*(?:\+\+|#)?")
IRREGULAR = {
    "wrote": "write", "written": "write", "writes": "write", "spoke": "speak", "spoken": "speak", "fell": "fall",
    "fallen": "fall", "began": "begin", "begun": "begin", "built": "build", "sank": "sink", "sunk": "sink",
    "won": "win", "wins": "win", "flew": "fly", "flown": "fly", "found": "find", "made": "make", "stood": "stand",
    "slew": "slay", "men": "man", "women": "woman", "feet": "foot", "teeth": "tooth", "geese": "goose",
    "wolves": "wolf", "countries": "country", "cities": "city", "says": "say", "came": "come", "stole": "steal",
    "moon's": "moon", "u.s": "us", "led": "lead", "known": "know", "knows": "know", "named": "name",
}  # fmt: skip
STOP = listed(
    "a an the of in on at to is are was were be been by for with and or do does did it its this that "
    "these those as from has have had which what who whom whose where when how s there his her their "
    "they he she you i we my your if so but not used use please tell me give answer question known can "
    "could would will into about than then also one just quite between state called country's"
)
UNITS_WORDS = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
    "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
]  # fmt: skip
NUMBER_WORDS = {word: value for value, word in enumerate(UNITS_WORDS)}
TENS = {
    word: 10 * (at + 2)
    for at, word in enumerate(["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"])
}
SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}
ONES = "|".join(sorted(NUMBER_WORDS, key=len, reverse=True))
WORD_NUMBER = re.compile(
    rf"\b(?:(?:{'|'.join(TENS)})(?:[- ](?:{ONES}))?|{ONES})(?:[- ]?(?:hundred|thousand|million|billion))?"
    rf"(?:(?: and)? (?:(?:{'|'.join(TENS)})(?:[- ](?:{ONES}))?|{ONES})(?: hundred| thousand)?\b)?"
    r"|\ba (?=hundred|thousand|million)(?:hundred|thousand|million)\b"
)


def plain(text: str) -> str:
    """Return the text in lower case without accents, with typographic signs made ASCII."""
    text = text.replace("\u2019", "'").replace("\u2212", "-").replace("\u2013", "-").replace("\u2014", " - ")
    decomposed = unicodedata.normalize("NFKD", text.replace("\u00d7", " * ").replace("\u00f7", " / "))
    return "".join(sign for sign in decomposed if not unicodedata.combining(sign)).lower()


def tokens(text: str) -> list[str]:
    """Split text into lower-case words and numbers; a possessive 's is dropped."""
    return TOKEN.findall(re.sub(r"(?<=\d),(?=\d{3})", "", re.sub(r"'s?\b", "", plain(text))))


def stem(word: str) -> str:
    """Cut a regular English ending, the same way for questions and for knowledge."""
    if word in IRREGULAR:
        return IRREGULAR[word]
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    for ending in ("ing", "ed", "es", "s", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            return word[: -len(ending)]
    return word


def number_of_words(text: str) -> int:
    """Return the value of a run of English number words such as 'two hundred and five'."""
    total, part = 0, 0
    for word in re.split(r"[\s-]+", text):
        if word in NUMBER_WORDS or word in TENS:
            part += NUMBER_WORDS.get(word, TENS.get(word, 0))
        elif word == "hundred":
            part = max(part, 1) * 100
        elif word in SCALES:
            total, part = total + max(part, 1) * SCALES[word], 0
    return total + part


def digits_for_words(text: str) -> str:
    """Replace number words by digits, leaving a lone 'one' that is a pronoun as it is."""

    def swap(match: re.Match[str]) -> str:
        found = match.group(0)
        return found if found == "one" else str(number_of_words(found))

    return WORD_NUMBER.sub(swap, text)
