"""Writes the example files beside it and the bundled directory of units: the same bytes every time.

`python examples/generate.py` writes them; with `--check` it only says whether the files on disk are what it would write.
"""

import csv
import io
import random
import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).resolve().parent.parent
DIRECTORY = "gql_server/carbon/data"
UNIT_COUNT = 2231
T = TypeVar("T")
Cells = Sequence[object]


@dataclass(frozen=True)
class Unit:
    code: str
    id: str
    name: str
    parent: str
    type: str
    principal: str


@dataclass(frozen=True)
class Example:
    """An example file: how it is uploaded, and what becomes of it."""

    path: str
    module: str
    content: bytes
    about: str
    accepted: int
    rejected: int = 0
    outcome: str = "SUCCESS"
    entry_type: str = ""
    unit: str = ""


def words(text: str) -> list[str]:
    return text.split()


def phrases(text: str) -> list[str]:
    return text.strip().replace("\n", "|").split("|")


def pick(dice: random.Random, items: Sequence[T]) -> T:
    # `random()` is the one method whose sequence Python promises to keep from version to version.
    return items[int(dice.random() * len(items))]


def between(dice: random.Random, low: int, high: int) -> int:
    return low + int(dice.random() * (high - low + 1))


def table(header: str, rows: Iterable[Cells], *, encoding: str = "utf-8") -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header.split(","))
    writer.writerows(rows)
    return text.getvalue().encode(encoding)


# ── the directory ──

GIVEN = words("""
Adèle Agnès Aïcha Alexandre Aline Amélie Anaïs André Antoine Aurélie Béatrice Benoît Camille Cécile Céline Chloé
Claire Clémence Damien Daniel Delphine Dimitri Élise Élodie Émile Éric Esther Étienne Fabien Florence François
Frédéric Gaëlle Gérald Grégoire Hélène Inès Irène Jérôme Joël Julie Laurent Léa Léonie Loïc Luc Lucie Ludovic Maëlle
Marc Mathilde Michèle Nadège Naïma Nicolas Noémie Océane Olivier Pascal Quentin Raphaël Rémi Romain Samuel Sébastien
Solène Sophie Sylvain Théo Thérèse Valérie Véra Vincent Xavier Yannick Yves Zoé
""")
FAMILY = words("""
Aebischer Amstutz Aubert Bachmann Balmer Barras Baud Berset Berthoud Besson Blanc Bonnard Bovet Brélaz Brügger Burnier
Cachin Chappuis Chevalley Clément Corboz Cornuz Crétegny Cuénod Curchod Décosterd Delacrétaz Dubuis Ducret Dupraz
Duvoisin Emery Épars Fardel Favre Fazan Fehlmann Fournier Gaillard Genoud Gerber Giroud Glauser Golay Grandjean Guex
Guignard Hänni Henchoz Huguenin Imhof Jaccard Jaquet Jaton Jeanneret Jolidon Junod Kälin Keller Kohler Küng Lachat
Magnin Marguerat Martinet Mermoud Meylan Monnier Morel Müller Nicollier Nydegger Oberson Pache Pahud Parmelin
Perrenoud Piguet Pittet Python Quartier Rapin Reymond Rochat Rossier Roulet Rüegg Ruffieux Savary Schär Schwab Steiner
Tâche Thévenaz Tissot Udriot Vallotton Vauthey Verdon Vuilleumier Weber Wyss Yersin Zbinden Zürcher
""")
FACULTIES = {
    "SB": "Faculté des sciences de base",
    "STI": "Faculté des sciences et techniques de l’ingénieur",
    "SV": "Faculté des sciences de la vie",
    "IC": "Faculté informatique et communications",
    "ENAC": "Faculté de l’environnement naturel, architectural et construit",
    "CDM": "Collège du management de la technologie",
    "CDH": "Collège des humanités",
}
OFFICES = {
    "P": "Présidence",
    "VPA": "Vice-présidence académique",
    "VPF": "Vice-présidence pour les finances",
    "VPI": "Vice-présidence pour l’innovation",
    "VPO": "Vice-présidence pour les opérations",
    "VPT": "Vice-présidence pour la transformation responsable",
}
FIELDS = {
    "MA": "mathématiques",
    "PH": "physique",
    "CH": "chimie",
    "MX": "matériaux",
    "MI": "microtechnique",
    "EL": "génie électrique",
    "GM": "génie mécanique",
    "BI": "bio-ingénierie",
    "NE": "neurosciences",
    "IN": "informatique",
    "SC": "systèmes de communication",
    "GC": "génie civil",
    "AR": "architecture",
    "EN": "ingénierie de l’environnement",
    "GE": "gestion",
    "HU": "humanités numériques",
}
DUTIES = {
    "RH": "des ressources humaines",
    "FI": "financier",
    "IT": "informatique",
    "BA": "du bâtiment",
    "AC": "des achats",
    "SE": "de la sécurité",
    "CO": "de la communication",
    "FO": "de la formation",
}
TOPICS = words("""
mécanique optique chimie biologie dynamique imagerie analyse modélisation simulation robotique électronique
hydraulique acoustique spectroscopie géométrie statistique photonique métrologie écologie énergétique cristallographie
génétique histoire signalétique thermique
""")
SUBJECTS = phrases("""
des structures|des surfaces|des fluides|des matériaux poreux|des réseaux|des systèmes embarqués|des milieux urbains
des protéines|des cellules souches|du vivant|du climat alpin|des sols|des eaux souterraines|des polymères
des semi-conducteurs|des plasmas|des algorithmes|des données massives|de la mobilité|de l’énergie|de la lumière
de la matière molle|du béton armé|des procédés catalytiques|des interfaces
""")
LABORATORY_TYPES = ("Laboratoire", "Laboratoire", "Laboratoire", "Chaire", "Groupe", "Plateforme")


def people() -> list[tuple[str, str]]:
    """(institutional id, display name), all names different: a step coprime to their number visits each pair once."""
    pairs = len(GIVEN) * len(FAMILY)
    step = 2999
    names = [divmod(number * step % pairs, len(FAMILY)) for number in range(pairs)]
    return [(str(100_101 + 37 * number), f"{GIVEN[given]} {FAMILY[family]}") for number, (given, family) in enumerate(names)]


def initials(words: str) -> str:
    return "".join(
        word[0] for word in words.replace("’", " ").split() if word not in ("de", "des", "du", "la", "le", "l")
    ).upper()


def upper_levels() -> list[tuple[str, str, str, str]]:
    """(code, name, parent, type) of levels 1 to 3."""
    top = [("EPL", "École polytechnique du Léman", "", "École")]
    second = [(code, name, "EPL", name.split()[0]) for code, name in (FACULTIES | OFFICES).items()]
    third = [
        *(
            (f"{faculty}-{code}", f"Institut de {name}", faculty, "Institut")
            for faculty in FACULTIES
            for code, name in FIELDS.items()
        ),
        *((f"{office}-{code}", f"Service {name}", office, "Service") for office in OFFICES for code, name in DUTIES.items()),
    ]
    return [*top, *second, *third]


def team(dice: random.Random, parent: tuple[str, str, str, str], number: int) -> tuple[str, str]:
    """(type, what it works on) of a level 4 unit."""
    kind = pick(dice, LABORATORY_TYPES)
    if parent[3] == "Service":
        return "Équipe", f"{number % 12 + 1} {parent[1].removeprefix('Service ')}"
    return kind, f"de {pick(dice, TOPICS)} {pick(dice, SUBJECTS)}"


def elided(name: str) -> str:
    return re.sub(r"\bde (?=[aéioh])", "d’", name)


def units() -> list[Unit]:
    dice = random.Random(2231)
    rows = upper_levels()
    parents = [row for row in rows if row[3] in ("Institut", "Service")]
    used: Counter[str] = Counter()
    while len(rows) < UNIT_COUNT:
        parent = pick(dice, parents)
        kind, subject = team(dice, parent, len(rows))
        code = f"{parent[0]}-{kind[0].replace('É', 'E')}{initials(subject)}"
        used[code] += 1
        rows.append((f"{code}{used[code] if used[code] > 1 else ''}", elided(f"{kind} {subject}"), parent[0], kind))
    return [
        Unit(code, str(10_000 + number), name, parent, kind, principal(dice))
        for number, (code, name, parent, kind) in enumerate(rows)
    ]


PEOPLE = people()


def principal(dice: random.Random) -> str:
    return "" if dice.random() < 0.01 else PEOPLE[between(dice, 0, 1999)][0]


UNITS = units()
LEAVES = [unit for unit in UNITS if unit.code.count("-") == 2]


def directory() -> dict[str, bytes]:
    principals = {unit.principal for unit in UNITS}
    unit_rows = [(unit.code, unit.id, unit.name, unit.parent, unit.type, unit.principal) for unit in UNITS]
    header = "institutional_code,institutional_id,name,parent_code,unit_type,principal_user_institutional_id"
    users = [person for person in PEOPLE if person[0] in principals]
    return {
        f"{DIRECTORY}/units.csv": table(header, unit_rows),
        f"{DIRECTORY}/users.csv": table("institutional_id,display_name", users),
    }


# ── process emissions: 100 × 1.5 → 150 kg in unit 10208 ──

PROCESS_COLUMNS = "unit_institutional_id,category,subcategory,quantity,note"
GASES = [
    ("CO2", "Glace carbonique", "kg", "1.5"),
    ("CO2", "Gaz en bouteille", "kg", "1"),
    ("CH4", "", "kg", "29.8"),
    ("N2O", "", "kg", "273"),
    ("Réfrigérants", "R-134a", "kg", "1530"),
    ("Réfrigérants", "R-32", "kg", "771"),
    ("Réfrigérants", "R-410A", "kg", "2256"),
    ("Réfrigérants", "SF6", "kg", "24300"),
]
NOTES = ("", "", "", "Inventaire 2025", "Estimation, à confirmer", "Relevé du compteur n° 7", "Bouteille de 50 l, dite « B50 »")


def process_rows(dice: random.Random) -> list[Cells]:
    rows: list[Cells] = [
        ("10208", "CO2", "Glace carbonique", "100", "100 × 1,5 = 150 kg"),
        ("10209", "CO2", "Glace carbonique", "50", "50 × 1,5 = 75 kg"),
    ]
    for unit in LEAVES[100:170]:
        category, subcategory, *_ = pick(dice, GASES)
        quantity = between(dice, 1, 400) / (100 if category == "Réfrigérants" else 4)
        rows.append((unit.id, category, subcategory, f"{quantity:g}", pick(dice, NOTES)))
    return rows


def process_examples() -> list[Example]:
    rows = process_rows(random.Random(8))
    corrected: list[Cells] = [("10208", "CO2", "Glace carbonique", "120", "120 × 1,5 = 180 kg"), *rows[2:]]
    corrected.append(("10210", "CO2", "Glace carbonique", "10", "oubliée la première fois"))
    one_unit = [(category, sub, "2.5", "") for category, sub, *_ in GASES[:5]]
    bad: list[Cells] = [
        ("10208", "CO2", "Glace carbonique", "cent", "pas un nombre"),
        ("10208", "CO2", "Glace carbonique", "-5", "négatif"),
        ("10208", "CO2", "Glace carbonique", "1,5", "virgule décimale"),
        ("10208", "CO2", "Glace carbonique", "", "quantité oubliée"),
        ("10208", "", "Glace carbonique", "5", "catégorie oubliée"),
        ("10208", "Xénon", "", "5", "pas de facteur"),
        ("99999", "CO2", "Glace carbonique", "5", "unité inconnue"),
        ("", "CO2", "Glace carbonique", "5", "unité oubliée"),
    ]
    module, per_unit = "process_emissions", PROCESS_COLUMNS.split(",", 1)[1]
    return [
        Example(
            "data/process_emissions_2025.csv",
            module,
            table(PROCESS_COLUMNS, rows),
            "150 kg in unit 10208, 75 kg in unit 10209",
            accepted=len(rows),
        ),
        Example(
            "data/process_emissions_2025_corrected.csv",
            module,
            table(PROCESS_COLUMNS, corrected),
            "replaces the file above: 180 kg in unit 10208, nothing left in 10209, 15 kg in 10210",
            accepted=len(corrected),
        ),
        Example(
            "data/process_emissions_unit_10208.csv",
            module,
            table(per_unit, one_unit),
            "a file of one unit has no unit column; its rows are added to what the unit has",
            accepted=len(one_unit),
            unit="10208",
        ),
        Example(
            "failures/process_emissions_all_bad.csv",
            module,
            table(PROCESS_COLUMNS, bad),
            "every row is bad in its own way; what was stored before stays",
            accepted=0,
            rejected=len(bad),
            outcome="ERROR",
        ),
    ]


# ── headcount ──

MEMBER_COLUMNS = "unit_institutional_id,name,sius_code,user_institutional_id,fte,note"
SIUS_CODES = ("51", "52", "53", "54", "56", "57", "58", "59")
HEADCOUNT_FACTORS = [
    ("food", "vegetarian", "", "90", "0.9"),
    ("food", "non_vegetarian", "", "130", "2.4"),
    ("waste", "incineration", "", "42", "0.55"),
    ("waste", "composting", "", "11", "0.05"),
    ("waste", "biogas", "organic waste food leftovers", "9", "0.03"),
    ("waste", "recycling", "paper", "14", "0.04"),
    ("waste", "recycling", "plastics", "3", "0.3"),
    ("commuting", "cycling", "", "310", "0.011"),
    ("commuting", "public_transport", "", "2400", "0.018"),
    ("commuting", "car", "", "900", "0.19"),
]


def member_rows(dice: random.Random) -> list[Cells]:
    rows: list[Cells] = []
    for unit in LEAVES[:220]:
        for _ in range(between(dice, 2, 9)):
            person, name = PEOPLE[2000 + len(rows)]
            fte = between(dice, 2, 10) / 10
            rows.append(
                (unit.id, name, pick(dice, SIUS_CODES), person, f"{fte:.2f}", "temps partiel, en thèse" if fte < 0.5 else "")
            )
    return rows


def member_failures(rows: list[Cells]) -> list[Cells]:
    good = rows[:18]
    bad: list[Cells] = [
        ("99999", "Zoé Aebischer", "51", "990001", "1", "unité inconnue"),
        (good[0][0], "Luc Baud", "51", "990002", "1.4", "plus d’un plein temps"),
        (good[0][0], "Léa Blanc", "55", "990003", "1", "code SIUS inconnu"),
        (good[0][0], "Éric Bovet", "51", "990004", "plein temps", "pas un nombre"),
        (good[0][0], good[0][1], "51", good[0][3], "0.5", "déjà dans la liste"),
        ("", "Inès Cachin", "51", "990005", "1", "unité oubliée"),
    ]
    return [*good[:9], *bad[:3], ("", "", "", "", "", ""), *good[9:], *bad[3:]]


def headcount_examples() -> list[Example]:
    dice = random.Random(1)
    members = member_rows(dice)
    students = [(unit.id, f"{between(dice, 1, 60) / 4:g}", "") for unit in LEAVES[:120]]
    failures = member_failures(members)
    return [
        Example(
            "data/headcount_members_2025.csv",
            "headcount",
            table(MEMBER_COLUMNS, members, encoding="utf-8-sig"),
            "starts with a byte order mark, as Excel writes it",
            accepted=len(members),
            entry_type="member",
        ),
        Example(
            "data/headcount_students_2025.csv",
            "headcount",
            table("unit_institutional_id,fte,note", students),
            "full-time equivalents, one row a unit",
            accepted=len(students),
            entry_type="student",
        ),
        Example(
            "failures/headcount_members_few_bad_rows.csv",
            "headcount",
            table(MEMBER_COLUMNS, failures),
            "rows 10 to 12 and 23 to 25 are bad, row 13 is blank and not counted",
            accepted=18,
            rejected=6,
            outcome="WARNING",
            entry_type="member",
        ),
    ]


# ── equipment ──

EQUIPMENT_COLUMNS = (
    "unit_institutional_id,equipment_id,name,equipment_class,sub_class,active_usage_hours_per_week,standby_usage_hours_per_week"
)
MACHINES = {
    "it": {
        "Laptop": ("Standard", "Pro"),
        "PC": ("Standard", "Calcul"),
        "Écran": ('24"', '32"'),
        "Serveur": ("1U", "2U", "GPU"),
        "NAS": ("",),
        "Imprimante": ("A4", "A3"),
        "Switch": ("",),
    },
    "scientific": {
        "Étuve": ("Petite", "Grande"),
        "Laser": ("CO2", "Nd:YAG"),
        "Hotte": ("",),
        "Microscope": ("Optique", "MEB", "AFM"),
        "Congélateur": ("-20", "-80"),
        "Pompe": ("À vide", "Eau"),
        "Four": ("Mufle", "Tube"),
        "RMN": ("400 MHz",),
        "HPLC": ("",),
        "Cryostat": ("",),
        "Autoclave": ("",),
        "PCR": ("",),
    },
    "other": {"Café": ("",), "Frigo": ("",), "Beamer": ("",), "Climatiseur": ("Split", "Mobile"), "Lampe": ("LED", "Halogène")},
}
MACHINE_LIST = [(category, kind, sub) for category, kinds in MACHINES.items() for kind, subs in kinds.items() for sub in subs]
MAKERS = ("Dell", "HP", "Zeiss", "Leica", "Büchi", "Bosch", "Mettler", "Agilent", "Sony", "Apple", "Haier", "Jura")


def equipment_factors() -> list[Cells]:
    dice = random.Random(4)
    rows: list[Cells] = []
    for category, kind, sub in MACHINE_LIST:
        active = between(dice, 2, 300) * (1 if category == "other" else 5)
        rows.append((category, kind, sub, 40, 60, active, round(active / 10, 1), "0.125"))
    # 40 h at 100 W and 128 h at 10 W, a year long, at 0.1: 27.456 kg
    return [("it", "Laptop", "Golden", 40, 128, 100, 10, "0.1"), *rows]


def equipment_rows(dice: random.Random, count: int) -> list[Cells]:
    rows: list[Cells] = [("10208", "E10000", "Dell 7000", "Laptop", "Golden", 40, 128)]
    while len(rows) < count:
        unit = LEAVES[len(rows) * 432 // count]
        _, kind, sub = pick(dice, MACHINE_LIST)
        active = between(dice, 1, 99)
        name = f"{pick(dice, MAKERS)} {between(dice, 10, 9999)}"
        rows.append((unit.id, f"E{10_000 + len(rows)}", name, kind, sub, active, between(dice, 0, 168 - active)))
    return rows


def equipment_examples() -> list[Example]:
    dice = random.Random(44)
    large, small = equipment_rows(dice, 10_072), equipment_rows(dice, 200)
    module = "equipment_electric_consumption"
    return [
        Example(
            "data/equipment_2025.csv",
            module,
            table(EQUIPMENT_COLUMNS, large),
            "432 units, three entry types told by the factors; 27.456 kg for E10000 of unit 10208",
            accepted=len(large),
        ),
        Example(
            "failures/equipment_2023.csv",
            module,
            table(EQUIPMENT_COLUMNS, small),
            "for a year without equipment factors: refused as a whole with one short cause",
            accepted=0,
            outcome="ERROR",
        ),
    ]


# ── purchases ──

PURCHASE_COLUMNS = (
    "unit_institutional_id,name,supplier,quantity,purchase_institutional_code,purchase_additional_code,"
    "total_spent_amount,currency,note"
)
GOODS = {
    "scientific_equipment": ("Microscopes", "Balances", "Centrifugeuses", "Spectromètres", "Fours", "Lasers", "Pompes à vide"),
    "it_equipment": ("Ordinateurs", "Serveurs", "Écrans", "Disques", "Câbles", "Logiciels embarqués", "Imprimantes"),
    "consumable_accessories": ("Gants", "Pipettes", "Flacons", "Filtres", "Papier", "Outillage", "Visserie"),
    "biological_chemical_gaseous_product": (
        "Solvants",
        "Réactifs",
        "Anticorps",
        "Gaz techniques",
        "Médicaments",
        "Enzymes",
        "Acides",
    ),
    "services": ("Blanchissage", "Conseil", "Entretien", "Traduction", "Analyses", "Transport", "Formation"),
    "vehicles": ("Vélos", "Remorques", "Voitures", "Chariots", "Bateaux", "Drones", "Pneus"),
    "other_purchases": ("Mobilier", "Livres", "Décoration", "Alimentation", "Emballages", "Vêtements", "Signalétique"),
}
USES = ("pour laboratoires", "et accessoires", "à usage industriel")
SUPPLIERS = (
    "Merck (Suisse) SA",
    "VWR International, Dietikon",
    "Bürkle & Fils",
    "Digitec",
    "Fisher Scientific, Reinach",
    "Migros",
)
CURRENCIES = ("chf", "chf", "chf", "CHF", "eur", "usd", "gbp")


def purchase_factors() -> list[tuple[str, str, str, str, str, str]]:
    dice = random.Random(5)
    rows: list[tuple[str, str, str, str, str, str]] = [
        ("eur", "it_equipment", "43000000", "Équipements informatiques", "", "0.5")
    ]
    for category, goods in GOODS.items():
        for number, name in enumerate(f"{good} {use}" for good in goods for use in USES):
            code = f"{11 + list(GOODS).index(category) * 12}{number:02}0000"
            specifics = (f"{chr(65 + number % 20)}{chr(65 + list(GOODS).index(category))}{digit}" for digit in (11, 25, 37))
            several = list(specifics) if number % 3 == 0 else []
            for additional in [*several, ""]:
                rows.append(("eur", category, code, name, additional, f"{between(dice, 5, 90) / 100:.2f}"))
    return rows


def purchase_rows(dice: random.Random) -> list[Cells]:
    rows: list[Cells] = [("10208", "Poste de travail", "Digitec", 1, "43000000", "", "200.00", "eur", "200 × 0,5 = 100 kg")]
    factors = purchase_factors()[1:]
    for number in range(1499):
        unit = LEAVES[number * 260 // 1499]
        _, _, code, name, additional, _ = pick(dice, factors)
        quantity, spent = between(dice, 1, 40), between(dice, 500, 900_000) / 100
        rows.append(
            (
                unit.id,
                f"{name.split()[0]}, lot de {quantity}",
                pick(dice, SUPPLIERS),
                quantity,
                code,
                additional,
                f"{spent:.2f}",
                pick(dice, CURRENCIES),
                pick(dice, NOTES),
            )
        )
    return rows


def purchase_examples() -> list[Example]:
    rows = purchase_rows(random.Random(55))
    _, _, latin1 = table(PURCHASE_COLUMNS, rows[15:30], encoding="latin-1").partition(b"\n")
    return [
        Example(
            "data/purchases_2025.csv",
            "purchase",
            table(PURCHASE_COLUMNS, rows),
            "seven entry types told by the factors, four currencies; 100 kg for the first row",
            accepted=len(rows),
        ),
        Example(
            "failures/purchases_mixed_encodings.csv",
            "purchase",
            table(PURCHASE_COLUMNS, rows[:15]) + latin1,
            "half UTF-8, half Latin-1: refused as a whole",
            accepted=0,
            outcome="ERROR",
        ),
    ]


# ── factors and the table of all files ──


FACTOR_COLUMNS = {
    "process_emissions": "category,subcategory,unit,ef_kg_co2eq_per_unit",
    "headcount": "category,class,subclass,number_of_unit_per_fte,ef_kg_co2eq_per_unit",
    "equipment": "equipment_category,equipment_class,sub_class,active_usage_hours_per_week,standby_usage_hours_per_week,"
    "active_power_w,standby_power_w,ef_kg_co2eq_per_kwh",
    "purchases": "currency,purchase_category,purchase_institutional_code,purchase_institutional_description,"
    "purchase_additional_code,ef_kg_co2eq_per_currency",
}


def factor_example(name: str, module: str, rows: Sequence[Cells], about: str) -> Example:
    return Example(f"factors/{name}.csv", module, table(FACTOR_COLUMNS[name], rows), about, accepted=len(rows))


def factor_examples() -> list[Example]:
    heads = "food, waste and commuting of one full-time person; each row serves members and students"
    codes = "one file for all purchases; a row without additional code is an average"
    machines = "one file for the three kinds of equipment"
    return [
        factor_example("process_emissions", "process_emissions", GASES, "kg CO2-eq per kg of gas"),
        factor_example("headcount", "headcount", HEADCOUNT_FACTORS, heads),
        factor_example("equipment", "equipment_electric_consumption", equipment_factors(), machines),
        factor_example("purchases", "purchase", purchase_factors(), codes),
    ]


# ── reference data ──

RATES_2025 = {
    "aud": "1.75",
    "cad": "1.58",
    "chf": "0.937",
    "cny": "8.12",
    "gbp": "0.857",
    "jpy": "169",
    "sek": "11.07",
    "usd": "1.13",
}
RATES_SOURCE = "Example: near the averages of 2025, for trying this server only"


def reference_examples() -> list[Example]:
    rates = [(currency, rate, RATES_SOURCE) for currency, rate in RATES_2025.items()]
    return [
        Example(
            "reference/exchange_rates_2025.csv",
            "purchase",
            table("currency,per_eur,source", rates),
            "units of each currency for one euro (target=reference); without them only purchases in the factors' currency "
            "get an emission",
            accepted=len(rates),
        )
    ]


README = """# Example files

Upload the four factor files and the exchange rates first, then any data file, all for the year 2025. Every unit is one of the
bundled directory (which the sync of a new year reads), and every good row finds its factor. `generate.py` writes these files
and this table; `generate.py --check` tells whether they are still what it writes.

| File | Module | Entry type | Unit | Accepted | Rejected | Outcome | What it is |
|---|---|---|---|---|---|---|---|
"""


def examples() -> list[Example]:
    return [
        *factor_examples(),
        *reference_examples(),
        *process_examples(),
        *headcount_examples(),
        *equipment_examples(),
        *purchase_examples(),
    ]


def readme(files: Iterable[Example]) -> bytes:
    lines = [
        f"| {file.path} | {file.module} | {file.entry_type} | {file.unit} | {file.accepted} | {file.rejected} | {file.outcome} "
        f"| {file.about} |\n"
        for file in files
    ]
    return (README + "".join(lines)).encode()


def everything() -> dict[str, bytes]:
    """Every generated file's content, by its path from the repository's root."""
    files = examples()
    return {**directory(), **{f"examples/{file.path}": file.content for file in files}, "examples/README.md": readme(files)}


def main(arguments: list[str]) -> int:
    stale = [
        path for path, content in everything().items() if not (ROOT / path).exists() or (ROOT / path).read_bytes() != content
    ]
    if "--check" in arguments:
        print("\n".join([*(f"stale: {path}" for path in stale), f"{len(stale)} of {len(everything())} files differ"]))
        return 1 if stale else 0
    for path in stale:
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_bytes(everything()[path])
        print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
