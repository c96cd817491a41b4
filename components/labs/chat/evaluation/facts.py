"""Factual questions with checkable answers, written for this lab: what fine-tuning forgets."""

from __future__ import annotations

import re

FACTS: tuple[tuple[str, str], ...] = (
    *((f"What is the capital of {country}?", city) for country, city in (
        ("France", "Paris"), ("Germany", "Berlin"), ("Italy", "Rome"), ("Spain", "Madrid"), ("Japan", "Tokyo"),
        ("China", "Beijing"), ("Russia", "Moscow"), ("Egypt", "Cairo"), ("Greece", "Athens"), ("Canada", "Ottawa"),
        ("Australia", "Canberra"), ("the United Kingdom", "London"), ("Ireland", "Dublin"), ("Portugal", "Lisbon"),
        ("Norway", "Oslo"), ("Sweden", "Stockholm"), ("Denmark", "Copenhagen"), ("Finland", "Helsinki"),
        ("Poland", "Warsaw"), ("Austria", "Vienna"), ("Hungary", "Budapest"), ("Turkey", "Ankara"),
        ("Iran", "Tehran"), ("Iraq", "Baghdad"), ("India", "New Delhi|Delhi"), ("Thailand", "Bangkok"),
        ("South Korea", "Seoul"), ("Cuba", "Havana"), ("Argentina", "Buenos Aires"), ("Peru", "Lima"),
        ("Kenya", "Nairobi"), ("Mexico", "Mexico City"),
    )),
    *((f"On which continent is {country}?", continent) for country, continent in (
        ("Brazil", "South America"), ("Nigeria", "Africa"), ("Vietnam", "Asia"), ("Belgium", "Europe"),
        ("Canada", "North America"), ("Egypt", "Africa"), ("India", "Asia"), ("Chile", "South America"),
    )),
    *((f"What is the chemical symbol of {element}?", symbol) for element, symbol in (
        ("oxygen", r"\bO2?\b"), ("hydrogen", r"\bH2?\b"), ("carbon", r"\bC\b"), ("iron", r"\bFe\b"),
        ("gold", r"\bAu\b"), ("silver", r"\bAg\b"), ("sodium", r"\bNa\b"), ("helium", r"\bHe\b"),
    )),
    *((f"Who wrote {work}?", author) for work, author in (
        ("Hamlet", "Shakespeare"), ("Romeo and Juliet", "Shakespeare"), ("Pride and Prejudice", "Austen"),
        ("Oliver Twist", "Dickens"), ("War and Peace", "Tolstoy"), ("1984", "Orwell"), ("the Odyssey", "Homer"),
        ("The Hobbit", "Tolkien"), ("Harry Potter", "Rowling"), ("Don Quixote", "Cervantes"),
    )),
    *((f"Who painted {work}?", painter) for work, painter in (
        ("the Mona Lisa", "Leonardo|Vinci"), ("The Starry Night", "Gogh"), ("Guernica", "Picasso"),
    )),
    *((f"Who was {person}?", answer) for person, answer in (
        ("Albert Einstein", "physicist|physics|relativity"), ("Isaac Newton", "gravity|motion|physicist|mathematician"),
        ("Mozart", "compos|music"), ("Charles Darwin", "evolution|natural selection|naturalist|biolog"),
        ("Marie Curie", "radioactiv|radium|physicist|chemist"),
        ("Napoleon Bonaparte", "emperor|French|France|military"),
        ("Mahatma Gandhi", "India|nonviolen|non-violen"), ("Abraham Lincoln", "president|Civil War|slavery"),
        ("George Washington", "first president|president|general"), ("Cleopatra", "Egypt|queen"),
    )),
    ("How many days are in a week?", r"\b7\b|seven"),
    ("How many months are in a year?", r"\b12\b|twelve"),
    ("How many minutes are in an hour?", r"\b60\b|sixty"),
    ("How many hours are in a day?", r"\b24\b|twenty-four"),
    ("How many legs does a spider have?", r"\b8\b|eight"),
    ("How many legs does an insect have?", r"\b6\b|six"),
    ("How many sides does a triangle have?", r"\b3\b|three"),
    ("How many continents are there?", r"\b7\b|seven"),
    ("How many planets are in the solar system?", r"\b8\b|eight"),
    ("How many letters are in the English alphabet?", r"\b26\b|twenty-six"),
    ("What is 2 + 2?", r"\b4\b|four"),
    ("What is 5 + 3?", r"\b8\b|eight"),
    ("What is the largest planet in the solar system?", "Jupiter"),
    ("Which planet is closest to the sun?", "Mercury"),
    ("Which planet is known as the Red Planet?", "Mars"),
    ("Which planet is known for its rings?", "Saturn"),
    ("What is the largest ocean on Earth?", "Pacific"),
    ("What is the largest mammal?", "blue whale|whale"),
    ("What is the tallest mountain on Earth?", "Everest"),
    ("What is the longest river in Africa?", "Nile"),
    ("What is the fastest land animal?", "cheetah"),
    ("What is the tallest animal?", "giraffe"),
    ("What gas do plants absorb from the air?", "carbon dioxide|CO2"),
    ("What gas do humans need to breathe?", "oxygen"),
    ("What is frozen water called?", r"\bice\b"),
    ("At what temperature does water boil, in degrees Celsius?", r"\b100\b|hundred"),
    ("At what temperature does water freeze, in degrees Celsius?", r"\b0\b|zero"),
    ("What is H2O?", "water"),
    ("What is the star at the center of our solar system?", r"\bsun\b"),
    ("What natural satellite orbits the Earth?", r"\bmoon\b"),
    ("What force pulls objects toward the Earth?", "gravit"),
    ("Which organ pumps blood through the body?", "heart"),
    ("Which organ do we think with?", "brain"),
    ("What do bees make?", "honey"),
    ("What color is the sky on a clear day?", "blue"),
    ("What color is grass?", "green"),
    ("What is the currency of Japan?", "yen"),
    ("What is the currency of the United States?", "dollar"),
    ("What language is spoken in Brazil?", "Portuguese"),
    ("What language is spoken in France?", "French"),
    ("In which country is the Eiffel Tower?", "France|Paris"),
    ("In which city is the Statue of Liberty?", "New York"),
    ("In which country are the pyramids of Giza?", "Egypt"),
    ("Who was the first person to walk on the moon?", "Armstrong"),
    ("Who discovered penicillin?", "Fleming"),
    ("In which year did World War II end?", "1945"),
)  # fmt: skip
"""Questions, and a regular expression that a right answer holds."""


def is_right(answer: str, pattern: str) -> bool:
    """Whether the answer holds what is asked for; symbols of elements count in their own spelling only."""
    symbol = pattern.startswith(r"\b") and pattern[2:3].isupper()
    return re.search(pattern, answer, 0 if symbol else re.IGNORECASE) is not None
