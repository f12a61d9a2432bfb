"""The words of the generated documents: fixed lists, and the random choice of a page from them.

Two-word names (people, companies, products, titles) are divided into two disjoint sets:
combinations for evaluation, and the others, for training. So a name on an evaluation page never
occurs in training, although both of its words do.
"""

from __future__ import annotations

import datetime
import random


def _words(text: str) -> list[str]:
    return text.split()


FIRST_NAMES = _words(
    "Alice Amir Anna Anton Bella Boris Carla Cedric Clara Daniel Diana Edith Elena Emil Erik Eva Farid "
    "Felix Fiona Frank George Grace Hanna Hugo Ines Irene Ivan Jacob Jane Jonas Julia Karim Laura Leo "
    "Linda Lucas Maria Martin Mei Nadia Nina Noah Olga Omar Oscar Paula Peter Priya Rosa Samir Sara "
    "Simon Sofia Tariq Theo Vera Victor Wanda Yusuf Zoe"
)
LAST_NAMES = _words(
    "Abbott Adler Baker Banks Becker Bishop Brandt Carter Castro Chen Cooper Costa Dawson Diaz Duval "
    "Evans Fischer Fleming Foster Garcia Gibson Grant Haddad Hansen Harper Hughes Ibrahim Jansen Keller "
    "Kim Klein Kumar Lambert Larsen Lopez Maier Marsh Mendez Meyer Moreau Nolan Novak Okafor Olsen "
    "Parker Patel Petrov Quinn Ramos Reyes Rossi Santos Schmidt Silva Singh Stone Tanaka Turner Vargas "
    "Vogel Wagner Walsh Weber Yamada Young Ziegler"
)
STREETS = _words(
    "Oak Maple Cedar Elm Pine River Lake Hill Park Mill Church Market Station Bridge Garden King Queen "
    "Spring Valley Forest Harbor Meadow Orchard Castle"
)
STREET_KINDS = ("Street", "Road", "Avenue", "Lane")
CITIES = _words(
    "Amsterdam Athens Berlin Bern Boston Cairo Chicago Cork Dakar Dallas Delhi Denver Dublin Geneva "
    "Hamburg Hanoi Helsinki Kyoto Leeds Lima Lisbon London Lyon Madrid Milan Munich Nairobi Oslo Paris "
    "Porto Prague Quito Rome Seattle Seville Sofia Sydney Tokyo Toronto Turin Vienna Warsaw Zagreb Zurich"
)
COUNTRIES = _words(
    "Austria Belgium Brazil Canada Chile Denmark Egypt Finland France Germany Ghana Greece India Ireland "
    "Italy Japan Kenya Mexico Norway Peru Poland Portugal Spain Sweden Turkey"
)
COMPANY_FIRST = _words(
    "Alpine Amber Apex Atlas Aurora Beacon Blue Bright Cobalt Coral Crown Delta Eagle Falcon Global "
    "Golden Green Harbor Helix Iron Jade Lunar Metro Nova Ocean Orion Pearl Pioneer Polar Prime Quartz "
    "Rapid Royal Silver Solar Summit Swift Titan Union Vertex"
)
COMPANY_SECOND = _words(
    "Bakery Books Builders Coffee Design Devices Electric Energy Foods Freight Furniture Garden Glass "
    "Hardware Health Imports Kitchen Labs Logistics Market Media Motors Paper Pharmacy Press Services "
    "Sports Studio Supply Systems Textiles Tools Toys Trading Travel"
)
ADJECTIVES = _words(
    "Black Blue Brass Ceramic Copper Cotton Folding Glass Gray Green Heavy Large Leather Linen Metal "
    "Mini Oak Orange Paper Plain Plastic Purple Red Round Rubber Silver Slim Small Soft Square Steel "
    "Striped Thick Thin White Wide Wooden Wool Yellow"
)
NOUNS = _words(
    "Bag Basket Bell Belt Blanket Bottle Bowl Box Brush Bucket Cable Candle Chair Clock Cup Desk Drill "
    "Fan Folder Fork Frame Glove Hammer Hat Hook Jar Jug Kettle Knife Ladder Lamp Lock Mat Mirror Mug "
    "Pan Pen Pillow Plate Pot Radio Rope Ruler Scarf Shelf Spoon Stool Table Tape Towel Tray Vase Watch"
)
FOODS = _words(
    "Apples Bacon Bananas Beans Bread Butter Carrots Cheese Cherries Chicken Coffee Cookies Corn Cream "
    "Eggs Fish Flour Garlic Grapes Ham Honey Jam Juice Lemons Lettuce Mangoes Milk Mushrooms Noodles "
    "Nuts Oats Olives Onions Oranges Pasta Peaches Pears Peas Pepper Plums Potatoes Rice Salad Salt "
    "Sausage Soap Soup Spinach Sugar Tea Tofu Tomatoes Water Yogurt"
)
FOOD_KINDS = _words("Fresh Organic Frozen Dried Local Sweet Mixed Baby Wild Ripe")
JOBS = _words(
    "Analyst Architect Baker Barber Carpenter Chemist Clerk Cook Dentist Designer Driver Editor "
    "Electrician Engineer Farmer Gardener Lawyer Librarian Manager Mechanic Musician Nurse Painter "
    "Pharmacist Photographer Pilot Plumber Teacher Translator Writer"
)
DEPARTMENTS = _words(
    "Accounting Archives Catering Design Finance Legal Logistics Marketing Planning Production "
    "Purchasing Quality Research Sales Security Support Training"
)
HOBBIES = _words(
    "Art Biking Boxing Camping Chess Cooking Dance Drama Fishing Golf Hiking Karate Music Pottery "
    "Reading Rowing Running Sailing Singing Skiing Soccer Surfing Swimming Tennis Yoga"
)
LANGUAGES = _words(
    "Arabic Chinese Czech Danish Dutch English French German Greek Hindi Italian Japanese Korean "
    "Polish Russian Spanish Swahili Swedish Turkish"
)
MONTHS = _words("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec")
MONTH_NAMES = _words(
    "January February March April May June July August September October November December"
)
MEASURES = _words(
    "Budget Calls Costs Exports Guests Hours Imports Income Jobs Members Orders Output Parcels Profit "
    "Rainfall Readers Repairs Returns Revenue Sales Savings Schools Shipments Sign-ups Spending Stock "
    "Students Tickets Tours Trips Usage Users Visitors Visits Votes Waste"
)
MEASURE_KINDS = _words(
    "Annual Average Daily Direct Early Export Family Final Foreign Gross Home Local Mean Mobile Monthly "
    "National Net New Office Online Other Peak Public Regional Retail School Shop Summer Total Union "
    "Urban Weekly Winter Yearly"
)
PAYMENTS = ("Cash", "Card", "Voucher", "Mobile", "Check")

_CONSONANTS = "bcdfghjklmnpqrstvwxyz"
_VOWELS = "aeiou"


class Vocabulary:
    """The words of one page.

    With `held_out` its names are combinations for evaluation, otherwise for training. `invented` is
    the share of words that are replaced by pronounceable nonsense, so that a model in training has
    to read letters instead of recognising words; evaluation pages have none.
    """

    def __init__(self, rng: random.Random, held_out: bool, invented: float = 0.0) -> None:
        self.rng = rng
        self.held_out = held_out
        self.invented = invented

    def word(self, words: list[str] | tuple[str, ...]) -> str:
        """One word of the list."""
        if self.invented and self.rng.random() < self.invented:
            return self._nonsense()
        return self.rng.choice(words)

    def words(self, words: list[str] | tuple[str, ...], count: int) -> list[str]:
        """`count` different words of the list."""
        chosen = self.rng.sample(words, count)
        if self.invented:
            chosen = [
                self._nonsense() if self.rng.random() < self.invented else word for word in chosen
            ]
        return chosen if len(set(chosen)) == count else self.words(words, count)

    def pair(self, first: list[str], second: list[str]) -> str:
        """A two-word name, of the set (held out or not) that this page may use."""
        while True:
            i, j = self.rng.randrange(len(first)), self.rng.randrange(len(second))
            if is_held_out(i, j) == self.held_out:
                break
        a, b = first[i], second[j]
        if self.invented and self.rng.random() < self.invented:
            a, b = self._nonsense(), self._nonsense()
        return f"{a} {b}"

    def pairs(self, first: list[str], second: list[str], count: int) -> list[str]:
        """`count` different two-word names that share no word (so that a name says which)."""
        chosen: list[str] = []
        used: set[str] = set()
        while len(chosen) < count:
            name = self.pair(first, second)
            parts = set(name.split())
            if not parts & used:
                chosen.append(name)
                used |= parts
        return chosen

    def person(self) -> str:
        """A person's first and last name."""
        return self.pair(FIRST_NAMES, LAST_NAMES)

    def company(self) -> str:
        """A company's name."""
        return self.pair(COMPANY_FIRST, COMPANY_SECOND)

    def title(self) -> str:
        """What a table or chart is about, such as `Net Exports`."""
        return self.pair(MEASURE_KINDS, MEASURES)

    def address(self) -> str:
        """House number and street."""
        return f"{self.rng.randint(1, 199)} {self.word(STREETS)} {self.rng.choice(STREET_KINDS)}"

    def code(self, prefix: str = "") -> str:
        """A reference number, such as `INV-48213`."""
        return f"{prefix}{self.rng.randint(1000, 99999)}"

    def day(self, first_year: int = 2005, last_year: int = 2029) -> datetime.date:
        """A day of those years."""
        rng = self.rng
        return datetime.date(
            rng.randint(first_year, last_year), rng.randint(1, 12), rng.randint(1, 28)
        )

    def date(self, day: datetime.date) -> tuple[str, ...]:
        """The accepted spellings of a day; the first is the one to print."""
        month = MONTHS[day.month - 1]
        printable = [
            day.isoformat(),
            f"{day.day} {month} {day.year}",
            f"{day.month:02d}/{day.day:02d}/{day.year}",
        ]
        printed = self.rng.choice(printable)
        others = [text for text in printable if text != printed]
        return (printed, *others, f"{MONTH_NAMES[day.month - 1]} {day.day}, {day.year}")

    def phone(self) -> str:
        """A telephone number."""
        return f"555-{self.rng.randint(0, 999):03d}-{self.rng.randint(0, 9999):04d}"

    def _nonsense(self) -> str:
        rng = self.rng
        length = rng.randint(3, 8)
        start = rng.random() < 0.5
        letters = [
            rng.choice(_VOWELS if (place % 2 == 0) == start else _CONSONANTS)
            for place in range(length)
        ]
        return "".join(letters).capitalize()


def is_held_out(i: int, j: int) -> bool:
    """Whether the i-th first word with the j-th second word is a combination for evaluation."""
    return (3 * i + 7 * j) % 5 == 0
