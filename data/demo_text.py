"""German sentences for the demo corpus, drawn from a small grammar of our own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

T = TypeVar("T")


def _alternatives(line: str) -> list[str]:
    return line.split("|")


SUBJECTS = _alternatives(
    "meine Nachbarin|der alte Gärtner|unsere Lehrerin|das kleine Mädchen|der junge Koch|die Ärztin|mein Bruder|"
    "deine Schwester|der Briefträger|die Bäckerin|ein Freund von mir|unser Hausmeister|die Studentin|der Schreiner|"
    "jeder Gast|niemand|meine Großmutter|der Fahrer|die Chefin|ihr Onkel|der neue Kollege|die Malerin|sein Vater|"
    "eine Reisende|der Musiker|das ganze Dorf|die Jury|unser Trainer|der Zeuge|die Försterin|Herr Vogel|Frau Schuster|"
    "Johanna|Philipp|Katharina|Moritz|Yvonne|Günther|Frau Jäger|Herr Zimmermann"
)


class Predicate(NamedTuple):
    """What a subject does, in the parts that German puts in different places."""

    finite: str
    complement: str
    prefix: str  # of a separable verb, else empty
    infinitive: str


def _predicates(lines: str) -> tuple[Predicate, ...]:
    return tuple(Predicate(*_alternatives(line)) for line in lines.splitlines())


# things that can be done in most places
ACTIVITIES = _predicates(
    """\
liest|die Zeitung||lesen
kocht|eine kräftige Suppe||kochen
sucht|den verlorenen Schlüssel||suchen
schreibt|einen langen Brief||schreiben
wartet|auf den Besuch||warten
erzählt|eine lustige Geschichte||erzählen
trinkt|eine Tasse Tee||trinken
räumt|die Kisten|auf|aufräumen
hört|leise Musik||hören
schält|ein paar Äpfel||schälen
zeichnet|zwei Pferde||zeichnen
ruft|den Arzt|an|anrufen
repariert|das Fahrrad||reparieren
füttert|die Katze||füttern
packt|den Koffer|aus|auspacken
spielt|Karten mit den Kindern||spielen
übt|ein schwieriges Stück||üben
bügelt|die weißen Hemden||bügeln
fotografiert|den Sonnenaufgang||fotografieren
zählt|das gesparte Geld||zählen
malt|ein großes Schiff||malen
hängt|die Wäsche|auf|aufhängen
singt|ein altes Lied||singen
bereitet|das Frühstück|vor|vorbereiten
bespricht|den Plan für morgen||besprechen
probiert|den warmen Kuchen||probieren
zündet|eine Kerze|an|anzünden
beobachtet|die jungen Vögel||beobachten
feiert|den Geburtstag||feiern
macht|das Fenster|zu|zumachen"""
)

# the same, where a place beside it would sound odd
ERRANDS = _predicates(
    """\
fährt|mit dem Zug nach Hause||fahren
kauft|frisches Brot||kaufen
geht|durch den dunklen Wald||gehen
bringt|das Paket zur Post||bringen
holt|die Kinder|ab|abholen
lernt|drei Sprachen||lernen
verlässt|das Büro||verlassen
steigt|auf den hohen Berg||steigen
mietet|ein rotes Boot||mieten
besucht|eine kranke Freundin||besuchen
verkauft|seltene Bücher||verkaufen
zieht|in eine größere Wohnung|um|umziehen
läuft|zehn Kilometer||laufen
schwimmt|über den See||schwimmen
sagt|die Sitzung|ab|absagen
bezahlt|die teure Rechnung||bezahlen
nimmt|den ersten Bus||nehmen
gießt|die durstigen Pflanzen||gießen
pflückt|süße Kirschen||pflücken
fegt|die breite Treppe||fegen"""
)

TIMES = _alternatives(
    "heute|jeden Morgen|am Abend|nach dem Essen|um halb sieben|seit zwei Stunden|im Sommer|fast immer|oft|gegen Mittag|"
    "zum ersten Mal|am Wochenende|kurz vor acht|bei schlechtem Wetter|mitten in der Nacht|nach der Arbeit|am Freitag|"
    "ab und zu|schon wieder|in den Ferien|trotz des Regens|vor der Abreise|jetzt|manchmal"
)

PLACES = _alternatives(
    "in der Küche|im Garten|auf dem Balkon|am Fluss|im Wohnzimmer|vor dem Haus|auf dem Markt|in der Werkstatt|"
    "unter dem Dach|am Bahnhof|bei den Nachbarn|neben der Schule|im Hof|hinter der Scheune|am Küchentisch"
)

MODALS = _alternatives("will|kann|muss|möchte|soll|darf|würde gern")
OPENINGS = _alternatives(
    "ich glaube, dass|es ist schön, dass|wir wissen, dass|niemand hat gesagt, dass|sie hofft, dass|mir fällt auf, dass|"
    "schade, dass|ich frage mich, warum|es stört mich nicht, wenn"
)
REASONS = _alternatives(
    "weil es draußen regnet|obwohl die Zeit knapp ist|während die anderen schlafen|bis es dunkel wird|"
    "damit alle zufrieden sind|sobald die Sonne scheint|denn der Tag war lang|wenn es nicht zu spät ist|"
    "ohne ein Wort zu sagen|bevor der Winter kommt|weil das Licht nicht geht|und keiner hilft dabei"
)

# things | what they can be: any of the first with any of the second
STATES = (
    (
        "der Kaffee|die Suppe|das Wasser im Kessel|der Tee|die Milch|das Essen|der Auflauf",
        "noch zu heiß|schon wieder kalt|gleich fertig|ganz frisch|leider zu dünn|wirklich köstlich",
    ),
    (
        "die Straße|der Platz vor dem Rathaus|die Brücke|der Weg zum Schloss|die Kreuzung|der Tunnel|die Autobahn",
        "heute gesperrt|überraschend leer|nach dem Sturm voller Äste|spiegelglatt|viel zu eng|gut beleuchtet",
    ),
    (
        "der Himmel|die Luft|das Meer|der Abend|die Nacht|der Nebel im Tal|der Morgen",
        "ungewöhnlich klar|grau und schwer|ganz ruhig geworden|kühler als gestern|wunderschön|kaum zu beschreiben",
    ),
    (
        "das Zimmer|die Wohnung im dritten Stock|das Museum|der Saal|die Bibliothek|das Geschäft|die Halle",
        "hell und freundlich|seit Montag geschlossen|größer als gedacht|frisch gestrichen|ziemlich laut",
    ),
    (
        "der Film|das Buch|die Vorstellung|der Vortrag|die Prüfung|das Gespräch|das Rätsel",
        "spannend bis zum Schluss|leichter als erwartet|nach einer Stunde vorbei|ein voller Erfolg|etwas zu lang",
    ),
)
CITIES = _alternatives(
    "Hamburg|Leipzig|Köln|Freiburg|Rostock|Zürich|Wien|Bremen|Erfurt|Passau|Jena|Münster|Kassel|Görlitz|Basel|Linz|"
    "Würzburg|Flensburg|Aachen|Ulm"
)
NUMBERS = _alternatives(
    "zwei|drei|vier|fünf|sechs|sieben|acht|neun|zehn|elf|zwölf|dreizehn|sechzehn|zwanzig|fünfundzwanzig|dreißig|vierzig"
)
HOURS = NUMBERS[:14]
WARES = _alternatives(
    "Äpfel|Handschuhe|Bücher|Zwiebeln|Schrauben|Briefmarken|Fahrkarten|Brötchen|Kerzen|Pilze|Teller|Blumen|Nägel|Eier"
)
TRAVELS = (
    "der Zug nach {city} fährt um {hour} Uhr ab",
    "von {city} nach {other} sind es {number} Stunden",
    "in {city} kosten {number} {ware} fast nichts",
    "bitte bringen Sie mir {number} {ware} mit",
    "im Keller liegen noch {number} {ware}",
    "der Bus aus {city} hat {number} Minuten Verspätung",
    "zwischen {city} und {other} regnet es seit {number} Tagen",
    "auf Gleis {number} steht der Zug nach {city}",
    "wer hat denn die {number} {ware} bestellt?",
    "unsere Freunde aus {city} bleiben {number} Wochen",
)


def _pick(rng: np.random.Generator, options: Sequence[T]) -> T:
    return options[int(rng.integers(len(options)))]


def _sentence(rng: np.random.Generator) -> str:
    """One sentence without its capital letter; statements are without their full stop."""
    form = int(rng.integers(11))
    subject, time = _pick(rng, SUBJECTS), _pick(rng, TIMES)
    if form == 0:
        things, states = _pick(rng, STATES)
        return f"{_pick(rng, _alternatives(things))} ist {_pick(rng, _alternatives(states))}"
    if form in (1, 2):
        city, other = rng.permutation(CITIES)[:2]
        return _pick(rng, TRAVELS).format(
            city=city, other=other, number=_pick(rng, NUMBERS), hour=_pick(rng, HOURS), ware=_pick(rng, WARES)
        )
    activity = rng.random() < 0.6
    finite, complement, prefix, infinitive = _pick(rng, ACTIVITIES if activity else ERRANDS)
    if activity and rng.random() < 0.4:
        complement = f"{_pick(rng, PLACES)} {complement}"
    end = f"{complement} {prefix}".strip()
    if form in (3, 4):
        return f"{subject} {finite} {time} {end}"
    if form in (5, 6):
        return f"{time} {finite} {subject} {end}"
    if form == 7:
        return f"{finite} {subject} {time} {end}?"
    if form == 8:
        return f"{subject} {_pick(rng, MODALS)} {complement} {infinitive}"
    if form == 9:
        return f"{_pick(rng, OPENINGS)} {subject} {time} {complement} {prefix}{finite}"
    return f"{subject} {finite} {end}, {_pick(rng, REASONS)}"


def sentences(rng: np.random.Generator) -> Iterator[str]:
    """German sentences of about 4 to 14 words, without end (the grammar gives some hundred thousand) and repetition."""
    found: set[str] = set()
    while True:
        text = _sentence(rng)
        text = text[0].upper() + text[1:] + ("" if text.endswith("?") else ".")
        if text not in found:
            found.add(text)
            yield text
