#!/usr/bin/env python3
"""Makes the samples of the two market systems: invented companies, seeded numbers, the same files every time.

It needs nothing but Python 3 and writes next to itself: news.json, competitors.json, prices.csv, series.csv, events.jsonl.
"""

import json
import math
import random
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

HERE = Path(__file__).resolve().parent
START = date(2026, 1, 5)
OWN = "Fernhill Audio"
COMPETITORS = {
    "Brackwater": ["Brackwater Sound", "BWS"],
    "Quillon Acoustics": ["Quillon"],
    "Tallowmere": [],
    "Norrvik Labs": ["Norrvik"],
}
TICKERS = {"BRKW": 42.5, "QLLN": 118.0, "TLMR": 9.6}

# (days after the start, headline, text). Companies, people and places are invented.
NEWS = [
    (0, "Brackwater opens the year with a new soundbar", "Brackwater launched its Harbour soundbar on Monday. Early reviewers praise the clear dialogue and the excellent bass. It costs $349."),
    (1, "Quillon Acoustics buys a maker of microphones", "Quillon Acoustics has acquired Petrel Microphones for $64 million. Analysts called it a smart and fair deal. The founders of Petrel will stay on."),
    (3, "Tallowmere cuts prices of earbuds", "Tallowmere cut prices of its Wren earbuds by 15 percent. Shops fear a price war that nobody can win. Rivals have not reacted yet."),
    (4, "Fewer parcels, more returns", "Online shops report a weak start to the year. Returns of headphones rose by 12 percent, and many customers complain about poor battery life."),
    (6, "Norrvik Labs raises $40 million", "Norrvik Labs raised $40 million in a Series C round led by Aldersey Ventures. The company wants to hire in Europe. Investors are optimistic about its hearing technology."),
    (8, "Brackwater sued over noise cancelling", "Osprey Patents sued Brackwater over the way its headphones cancel noise. Brackwater rejects the claim as baseless. A court will hear the case in May."),
    (9, "A quiet week in audio", "No new products came out this week. Dealers used the time to take stock."),
    (11, "Quillon and Fernhill join forces on cables", "Quillon Acoustics partnered with Fernhill Audio on a common plug for studio cables. Musicians welcome the step. \"It will save us a lot of trouble,\" said the sound engineer Ilka Marrow."),
    (13, "Tallowmere lays off 120 people", "Tallowmere laid off 120 employees at its plant in Skerry Bay. The union called the decision cruel and shameful. Sales of speakers had fallen for three quarters."),
    (15, "Norrvik Labs will release hearing app", "Norrvik Labs will launch an app that tests hearing at home in March. Doctors are cautiously positive. The app is free."),
    (16, "Brackwater denies talks", "Brackwater denied that it would acquire Tallowmere. Shares of both fell. Rumours of a sale had worried employees for weeks."),
    (18, "Turntables are back", "Sales of turntables grew by 21 percent last year. Young customers love the ritual, dealers say."),
    (20, "Quillon Acoustics raises prices", "Quillon Acoustics raised prices of studio monitors by 6 percent. The company blames expensive magnets. Studios are annoyed, but few will switch."),
    (22, "Tallowmere in the red", "Tallowmere reported a terrible quarter with a loss of $18 million. Debt is a serious problem, and the outlook is bleak. The chief executive, Orla Finch, apologised to shareholders."),
    (24, "Norrvik Labs hires a chief scientist", "Norrvik Labs hired the acoustics researcher Tamsin Holloway as chief scientist. Colleagues describe her as brilliant and generous."),
    (26, "Brackwater Sound teams up with stadium chain", "Brackwater Sound signed a partnership with the stadium operator Greenmere Arenas. Fans will hear announcements without echo. Both sides are delighted."),
    (28, "Complaint against Quillon dismissed", "A court dismissed the lawsuit against Quillon Acoustics over faulty amplifiers. The company was relieved. Customers who had hoped for damages were disappointed."),
    (30, "Tallowmere plans cheaper speakers", "Tallowmere plans to introduce a line of speakers under $80 in summer. Dealers doubt that the quality will be good enough."),
    (31, "How people listen at work", "A survey of 2,000 office workers finds that half wear headphones for more than three hours a day. Most are happy with them."),
    (33, "BWS slashes price of its best headphones", "BWS slashed the price of its Anchor headphones from $329 to $279. It is a great offer for customers and a painful one for dealers with full shelves."),
    (35, "Norrvik Labs acquired a start-up", "Norrvik Labs bought Cochlea Works, a start-up with nine employees. Terms were not disclosed. The team brings impressive know-how."),
    (37, "Fine for Tallowmere", "The consumer authority fined Tallowmere $2.4 million for misleading claims about battery life. It is an embarrassing defeat. The company will not appeal."),
    (39, "Quillon Acoustics unveils a mixer", "Quillon Acoustics unveiled the Delta DJ mixer at a trade fair. The crowd was excited, and the stand was the most popular of the hall."),
    (41, "Brackwater warns of delays", "A fire at a supplier delays deliveries of Brackwater speakers by six weeks. Nobody was hurt. Shops are worried about the spring season."),
    (43, "Fernhill Audio wins design award", "Fernhill Audio won an award for its Meadow microphone. The jury praised the honest sound and the beautiful body."),
    (45, "Tallowmere secures loan", "Tallowmere secured $25 million in financing from two banks. The money buys time, nothing more, analysts warn."),
    (47, "Norrvik Labs and Quillon form alliance", "Norrvik Labs and Quillon Acoustics announced a strategic partnership on hearing protection for musicians. Experts welcome a promising idea."),
    (49, "Magnets become cheaper", "Prices of neodymium fell by 9 percent in February. Makers of speakers hope for better margins."),
    (51, "Brackwater recruits 200 engineers", "Brackwater is hiring 200 engineers for a new laboratory in Port Ellery. The region celebrates. Rivals fear that they will lose talent."),
    (53, "Quillon rolls out subscription", "Quillon Acoustics rolled out a subscription for studio software. Users are furious, and forums are full of angry threats to leave."),
    (55, "Tallowmere lowers prices again", "Tallowmere lowered prices of all speakers by a further 10 percent. The move smells of panic."),
    (57, "Norrvik Labs sues former manager", "Norrvik Labs sued a former manager, accusing him of stealing designs. He denies any wrongdoing."),
    (59, "Podcasts drive sales of microphones", "Microphones were the best gift of the season. Makers enjoy strong growth and healthy profits."),
    (61, "Brackwater acquires Lumen Amps", "Brackwater acquired Lumen Amps, a loved but struggling maker of guitar amplifiers. Musicians hope that the brand survives."),
    (63, "Quillon Acoustics cuts 45 jobs", "Quillon Acoustics cut 45 jobs in administration. It is a sad day, the works council said, but the terms are fair."),
    (65, "Tallowmere may be sold", "Tallowmere may be taken over by a fund, according to three people. Employees are anxious. The company did not comment."),
    (67, "Norrvik Labs launches the hearing app", "Norrvik Labs released its hearing app two weeks late. Users report crashes and awful support. A fix is promised."),
    (69, "Fernhill opens a repair shop", "Fernhill Audio opened a repair shop in Port Ellery. Customers are thrilled: most devices are ready the same day."),
    (71, "Brackwater raises dividend", "Brackwater had a superb quarter, with record profit and happy shareholders. The dividend rises by a fifth."),
    (73, "Quillon closes funding for rentals", "Quillon Acoustics closed a $15 million funding round for its rental business. The terms are attractive."),
    (75, "Investigation of Brackwater closed", "The competition authority opened an investigation into Brackwater over contracts with dealers. Critics speak of abuse. Brackwater promises to cooperate."),
    (77, "Earbuds that sit better", "A study compares 14 earbuds. The best stay in place even on a run; the worst hurt after ten minutes."),
    (79, "Tallowmere introduces Sparrow", "Tallowmere introduced the Sparrow speaker for $69. It sounds surprisingly good, testers write, and the battery is fantastic."),
    (81, "Norrvik Labs cuts price of app", "Norrvik Labs reduced the subscription fee of its app by half. Angry users are calmer now."),
    (83, "Dealers look forward to spring", "Dealers are confident: orders for spring are 8 percent above last year. Only soundbars remain weak."),
    (85, "Brackwater and Norrvik Labs team up", "Brackwater teamed up with Norrvik Labs to build hearing tests into headphones. Doctors love the idea."),
]


def news(path):
    articles = [
        {"id": f"n{i + 1:02}", "date": (START + timedelta(days=day)).isoformat(), "title": title, "text": text}
        for i, (day, title, text) in enumerate(NEWS)
    ]
    path.write_text("[\n" + ",\n".join("  " + json.dumps(a, ensure_ascii=False) for a in articles) + "\n]\n", encoding="utf-8")


def competitors(path):
    rows = [json.dumps({"name": name, "aliases": aliases}) for name, aliases in COMPETITORS.items()]
    path.write_text("[\n  " + ",\n  ".join(rows) + "\n]\n", encoding="utf-8")


def prices(path):
    draw = random.Random(20260105)
    sellers = [OWN, *COMPETITORS, "Pennant Store", "Galleon Direct"]
    products = {
        "dj-mixer": 419, "earbuds": 119, "over-ear-headphones": 289, "portable-speaker": 99,
        "soundbar": 349, "studio-monitor": 259, "turntable": 229, "usb-microphone": 149,
    }
    lines = ["date,product,seller,price,currency"]
    habit = {seller: draw.uniform(0.93, 1.07) for seller in sellers}
    for week in range(4):
        day = (START + timedelta(weeks=week)).isoformat()
        for product, level in products.items():
            for seller in sellers:
                price = level * habit[seller] * draw.uniform(0.97, 1.03)
                if seller == "Tallowmere" and product in ("earbuds", "portable-speaker"):
                    price *= 0.85
                if (seller, product, week) == ("Galleon Direct", "turntable", 3):
                    price *= 10  # A point in the wrong place, as it happens.
                lines.append(f"{day},{product},{seller},{math.floor(price) + 0.99 if price < 1000 else price:.2f},USD")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def series(path):
    draw = random.Random(20260106)
    lines = ["date,series,value"]
    for day in range(126):
        at = (START + timedelta(days=day)).isoformat()
        weekly = math.sin(2 * math.pi * day / 7)
        lines += [
            f"{at},earbuds-mean-price,{119 - 0.11 * day + draw.gauss(0, 1.4):.2f}",
            f"{at},own-orders,{max(0, round(210 + 0.62 * day + 18 * weekly + draw.gauss(0, 14)))}",
            f"{at},rival-visits,{5200 + 240 * weekly + draw.gauss(0, 310):.0f}",
            f"{at},search-interest,{50 + 6 * weekly + draw.gauss(0, 5):.1f}",
        ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


# (minutes after nine, source, event type, data)
MESSAGES = [
    (31, "news_article", {"id": "m1", "title": "Brackwater wins a big contract", "text": "Brackwater won a great contract with a chain of hotels. Analysts are impressed."}),
    (52, "competitor_move", {"id": "m2", "title": "Quillon Acoustics cuts prices", "text": "Quillon Acoustics cut prices of studio monitors by 8 percent this morning."}),
    (97, "news_article", {"id": "m3", "title": "Dealers report a slow spring", "text": "Dealers report weak demand and fear losses. Stocks of soundbars are high."}),
    (141, "competitor_move", {"id": "m4", "title": "Norrvik Labs launches a headset", "text": "Norrvik Labs launched a headset for call centres. Early users love it."}),
    (186, "news_article", {"id": "m5", "title": "Tallowmere misses payment", "text": "Tallowmere failed to pay a supplier. It is a terrible sign, and lawyers warn of bankruptcy."}),
    (203, "competitor_move", {"id": "m6", "title": "Tallowmere sued by supplier", "text": "Kestrel Components sued Tallowmere over unpaid bills. Tallowmere denied any fault."}),
    (244, "news_article", {"id": "m7", "title": "A calm afternoon", "text": "Trading was quiet in the early afternoon."}),
    (290, "competitor_move", {"id": "m8", "title": "Brackwater buys sensor maker", "text": "Brackwater acquired Finial Sensors for $31 million, an excellent fit."}),
    (333, "news_article", {"id": "m9", "title": "Quillon users angry", "text": "Users are furious about a broken update of Quillon software. The company apologised for the awful bug."}),
    (371, "competitor_move", {"id": "m10", "title": "Tallowmere lays off staff", "text": "Tallowmere laid off 60 employees. It is a sad end to a bad week."}),
    (402, "news_article", {"id": "m11", "title": "Norrvik Labs praised", "text": "Testers praise the clear and comfortable headset of Norrvik Labs. A superb product!"}),
    (455, "competitor_move", {"id": "m12", "title": "Quillon and Brackwater team up", "text": "Quillon Acoustics partnered with Brackwater on a common standard for cables."}),
]


def events(path):
    draw = random.Random(20260107)
    opening = datetime(2026, 3, 2, 9, tzinfo=timezone.utc)
    found = [(minute, "/wire", kind, data) for minute, kind, data in MESSAGES]
    for place, (symbol, price) in enumerate(TICKERS.items()):
        for step in range(70):
            minute = step * 7 + place * 2
            wave = math.sin(2 * math.pi * (step / 70 * 2 + place / 3))
            price *= math.exp(0.0022 * wave + draw.gauss(0, 0.0016))
            if (symbol, step) == ("TLMR", 27):
                price *= 0.91  # The missed payment of 12:06.
            found.append((minute, "/exchange", "price_change", {"symbol": symbol, "price": round(price, 3)}))
    found.sort(key=lambda event: (event[0], event[1], json.dumps(event[3])))
    lines = []
    for number, (minute, source, kind, data) in enumerate(found, start=1):
        time = (opening + timedelta(minutes=minute)).isoformat().replace("+00:00", "Z")
        event = {"specversion": "1.0", "id": str(number), "source": source, "type": kind, "time": time, "data": data}
        lines.append(json.dumps(event, ensure_ascii=False, separators=(",", ":")))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    news(HERE / "news.json")
    competitors(HERE / "competitors.json")
    prices(HERE / "prices.csv")
    series(HERE / "series.csv")
    events(HERE / "events.jsonl")
