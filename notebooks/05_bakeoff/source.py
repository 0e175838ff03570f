# %% [markdown] id="title"
# # The bake-off: did it pay?
#
# You run every way to answer on the same tickets, put an interval on every share, and write the verdict that the numbers allow.
#
# **Time:** 40 minutes alone, 45 minutes in a room. **Cost here:** nothing, the models are stand-ins on this machine.
# **Cost live:** about 5 USD on Amazon Bedrock for 240 tickets; replies are kept, so a second run costs nothing.
#
# An *arm* is one way to answer all tickets: one model alone, or a cascade under one policy. A bake-off compares arms. Published tables often
# leave out interval and baseline; this lab adds both.

# %% [markdown] id="objectives"
# ## What you will be able to do
#
# 1. **Find** four faults in a harness that flatters the cascade (Exercise 1).
# 2. **Read** two intervals before you call one arm better (Exercise 2).
# 3. **Compute** what escalating at random would get, and for how much (Exercise 3).
# 4. **Measure** how much of the gap between two models a cascade recovers (Exercise 4).
# 5. **Decide** whether "as good as the strong model" may be said (Exercise 5).
# 6. **Test** two arms ticket by ticket (Exercise 6, stretch).
# 7. **Strike** the numbers that have no source (Exercise 7, stretch).

# %% [markdown] id="prerequisites"
# | you need | why | enough is |
# |---|---|---|
# | a cascade and its policy ([lab 03](../03_cascade/lab.ipynb)) | two arms are cascades | you know when an answer escalates, and that every tier that ran is charged |
# | the Wilson interval ([lab 02](../02_confidence/lab.ipynb)) | every share gets one | you know that 28 of 30 leaves a range for the true share |
# | pandas | arms are tables, one row a ticket | you can read `arm["correct"].mean()` |
#
# This is the only lab that touches the *test* tickets. Labs 01 to 04 were kept away from them, so that nothing was tuned on them.

# %% [markdown] id="instructor-open" tags=["instructor"]
# minutes: 2
# half: 1
# section: Opening
# say: Today we find out whether it paid. We write down what would convince us before we see a number.
# show: The parameter MAX_LOSS, with its comment.
# ask: How much accuracy would you give up to save most of the bill? Agree on one value for the room, write it on the board, and leave it there.
# cut: Name the margin yourself, write it on the board, and leave it there.

# %% id="parameters" tags=["parameters"]
SEED: int = 0  # the sandbox's seed; the same seed gives the same answers
LIMIT: int = 160  # how many test tickets, 2 to 160; every arm gets the same ones
DRAWS: int = 1000  # random choices behind the intervals that are drawn and not computed
MAX_LOSS: float = 0.02  # accuracy you are ready to lose against the strong model, above 0; decide before you look

# %% id="setup"
import math
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from workshop_lib import catalog
from workshop_lib.cascade import documented, single
from workshop_lib.cascade import published as published_policy
from workshop_lib.evaluation.arms import frame, oracle_baseline, random_baseline, run_arm, summary, text_table
from workshop_lib.evaluation.bakeoff import compare, run_bakeoff
from workshop_lib.evaluation.cache import CacheMiss, ReplyCache
from workshop_lib.evaluation.labels import load_tickets
from workshop_lib.evaluation.metrics import auroc, mcnemar_from_totals, recall
from workshop_lib.evaluation.recorded import published as published_tables
from workshop_lib.evaluation.recorded import recorded_arms
from workshop_lib.lab import open_lab

lab = open_lab("05_bakeoff", seed=SEED)

# %% id="setup-numbers"
from textwrap import fill

from workshop_lib.evaluation import family_intervals
from workshop_lib.evaluation.figures import cost_quality_figure, forest_figure, pareto_figure, reliability_figure
from workshop_lib.evaluation.intervals import newcombe, wilson
from workshop_lib.evaluation.report import report_html
from workshop_lib.evaluation.report.evidence import by_group
from workshop_lib.evaluation.report.findings import answer, cases, headline
from workshop_lib.evaluation.routers import history, train_router, verdict
from workshop_lib.evaluation.uncertainty import items_to_show_difference, non_inferiority
from workshop_lib.lab.exercises.ex05 import as_found
from workshop_lib.llm import Request
from workshop_lib.paths import STATE
from workshop_lib.tasks import TRIAGE

# %% id="setup-names"
HERE = lab.settings.backend  # where the numbers of this run come from
tickets = load_tickets("test")[:LIMIT]
calibration = load_tickets("calibration")  # other tickets, for what is learned

STATE.mkdir(parents=True, exist_ok=True)
scratch = TemporaryDirectory(dir=STATE, prefix="lab05-")  # gone when the kernel ends
# A live recording was paid for: it is kept, in the file that `workshop bakeoff` uses too.
recording = STATE / "bakeoff-live.jsonl" if HERE == "live" else Path(scratch.name) / "replies.jsonl"


def called(tier):
    name = catalog.model(tier).name
    return f"the stand-in for {name}" if HERE == "sandbox" else name

# %% [markdown] id="win"
# ## The result first
#
# Every arm, and beside them the *baselines*, which are arms to compare with: a random choice, and a perfect one. Two calls.
#
# *Right* means the label's category; `low` and `high` are the 95 % interval of the share. Sandbox rows are of stand-ins, not of the vendors'
# models; the real Nano and Sonnet come further down.

# %% id="win-run"
replies = ReplyCache(recording, lab.ask)
bake = run_bakeoff(replies, replies, tickets, draws=DRAWS, seed=SEED, every=True, calibration=calibration)
QUALITY = ["arm", "right", "accuracy", "low", "high", "cost_per_1000", "escalation_rate", "source"]
print(f"{bake.tickets} tickets in every row; cost_per_1000 is in USD")
print(text_table(bake.summary[QUALITY]))

# %% [markdown] id="win-arms"
# - `..._only`: one model answers everything.
# - `cascade_...`: Nano first, Sonnet where the policy says so. `cascade a>b`: the documented gate between other models. All that ran is charged.
# - `random at ... rate`: as many tickets escalate, drawn at random. Its row is the expectation; 95 % of draws lie from `low` to `high`.
# - `category majority`: asks Nano, then the model that was right most often on calibration tickets of the category that Nano said.
# - `kNN` (nearest neighbours): asks the model that was right on most of the nearest calibration texts, and only that one.
# - `oracle`: stops at the cheapest model that is right, the ceiling. No gate knows that.

# %% id="win-figure"
bounds = family_intervals(bake.arms, draws=DRAWS, seed=SEED)
costs = bounds.rename(columns={"cost_per_1000_low": "cost_low", "cost_per_1000_high": "cost_high"})
plane = bake.summary[~bake.summary["arm"].str.startswith("random")].merge(costs[["arm", "cost_low", "cost_high"]], on="arm")
ORACLES = [name for name in bake.arms if name.startswith("oracle")]
pareto_figure(plane, HERE, title=f"What accuracy costs ({HERE})", needs_foresight=ORACLES)

# %% [markdown] id="win-read"
# Higher is better, further left is cheaper. The dashed staircase joins the filled arms, which no cheaper arm equals. The oracles are hollow because
# they need foresight. Upright lines are 95 % intervals of the accuracy, level ones of the cost. The random arms are left out here, as each costs about what its cascade costs; they get their own section.

# %% [markdown] id="instructor-win" tags=["instructor"]
# minutes: 3
# half: 2
# section: The result first
# say: One line an arm. Read the source first, then how many tickets, then the interval, and only then the accuracy.
# show: The hollow marks in the figure. Then the oracles: the ceiling for every gate.
# ask: Would you ship one of these today? Take a show of hands and write the numbers down for the end.
# cut: Show the figure only; take the show of hands.

# %% [markdown] id="cache"
# ## Ask once, keep the replies
#
# Sixteen rows and a judge (a model that grades the others, see *Going further*), and yet each model saw each ticket once. The cascades walk over the *same replies* as the single models, so arms
# differ by policy and not by luck. `ReplyCache` keeps each reply on disk, keyed by model and by everything the model saw.
#
# **Predict first.** How many calls does a second run make, now that there is a recording? Write a number over the first dots, and over the second
# ones how sure you are, such as `0.8`.

# %% id="cache-guess"
my_guess_calls = ...
lab.predict("calls", my_guess_calls, within=0, confidence=...)

# %% id="cache-replay"
replay = ReplyCache(recording)  # nothing to call behind it: it can only replay
again = run_bakeoff(replay, replay, tickets, draws=DRAWS, seed=SEED, every=True, calibration=calibration)

lab.score("calls", replay.calls)
print(f"Replies served from the recording: {replay.hits}.")
print("The table is", "the same." if again.summary.equals(bake.summary) else "another one.")
try:
    replay("nano", Request(prompt="never asked before"))
except CacheMiss:
    print("A question that was never recorded: CacheMiss, and no call.")

# %% [markdown] id="cache-explain"
# Without a recording nobody can check a bake-off, and every new look at it costs money. With one, a colleague can replay yours for nothing
# and try another policy. If the prompt changes by a letter the key changes too, so old replies are never taken for new ones.

# %% [markdown] id="bug"
# ## Find the bug
#
# A colleague wrote a *harness* of her own: the code that runs the arms and makes the table. It raises nothing and reads well. Here it runs on your replies, with a client that gives
# up on the slowest fifth of Nano's replies the first time it asks (they are billed all the same) and gets them the second time.

# %% id="bug-data"
nano, sonnet = bake.arms["nano_only"], bake.arms["sonnet_only"]
FIELDS = ("category", "priority", "needs_human")
gold = {row["item_id"]: {name: row[f"gold_{name}"] for name in FIELDS} for row in nano.to_dict("records")}
stored = {}  # what each model replied to each ticket
for model, arm in {"nano": nano, "sonnet": sonnet}.items():
    for row in arm.to_dict("records"):
        decision = {name: row[name] for name in FIELDS} if row["outcome"] == "answered" else None
        stored[model, row["item_id"]] = {"decision": decision, "confidence": row["confidence"], "usd": row["cost_usd"]}

# %% id="bug-client"
slowest = set(nano.sort_values(["latency_ms", "item_id"])["item_id"].tail(len(nano) // 5))


def impatient():
    """Return a client that loses Nano's slowest replies the first time it asks for them."""
    lost = set()

    def ask(model, ticket):
        reply = dict(stored[model, ticket])
        if model == "nano" and ticket in slowest - lost:
            lost.add(ticket)
            reply["decision"] = None  # gave up waiting; the bill comes all the same
        return reply

    return ask

# %% id="bug-report"
def show(report):
    print(f"{'arm':8} {'decisions':>9} {'USD per 1,000':>13}   ({HERE}, with the impatient client)")
    for arm, row in report.items():
        print(f"{arm:8} {row['decisions']:9.3f} {1000 * row['usd']:13.3f}")


print("As found:")
show(as_found(list(gold), gold, impatient()))

# %% [markdown] id="ex1-header"
# ## Exercise 1 · 8 minutes · core · Find the bug
#
# `harness` below has **four faults**: in what it divides by, in which reply the cascade starts from, in what an escalated ticket costs, and in what
# it compares. Edit it until they are gone. `ask(model, ticket)` returns `{"decision": ..., "confidence": ..., "usd": ...}`; a failed call has
# `None` for a decision and may cost something. A decision is a dict of three fields, like those in `gold`. Each model is asked once a ticket,
# and a failed call escalates.
#
# Run the check after each repair: it says which faults are fixed and which are still there. Hints: `lab.hint("ex1")`.

# %% id="ex1-edit" tags=["learner-only"]
def harness(ids, gold, ask):
    """Return for each arm its share of right decisions and its USD a ticket."""
    nano = {ticket: ask("nano", ticket) for ticket in ids}
    sonnet = {ticket: ask("sonnet", ticket) for ticket in ids}
    cascade = {}
    for ticket in ids:
        reply = ask("nano", ticket)
        if reply["decision"] is None or reply["confidence"] < 0.7:
            reply = sonnet[ticket]
        cascade[ticket] = reply
    report = {}
    for arm, replies in {"nano": nano, "sonnet": sonnet, "cascade": cascade}.items():
        done = {ticket: reply for ticket, reply in replies.items() if reply["decision"] is not None}
        right = [reply["decision"]["category"] == gold[ticket]["category"] for ticket, reply in done.items()]
        usd = [reply["usd"] for reply in done.values()]
        report[arm] = {"decisions": sum(right) / len(done), "usd": sum(usd) / len(done)}
    return report


show(harness(list(gold), gold, impatient()))

# %% id="ex1" tags=["exercise", "solution-only"]
def harness(ids, gold, ask):
    """Return for each arm its share of right decisions and its USD a ticket."""
    # <solution>
    nano = {ticket: ask("nano", ticket) for ticket in ids}
    sonnet = {ticket: ask("sonnet", ticket) for ticket in ids}
    cascade = {}
    for ticket in ids:
        reply = nano[ticket]  # the reply that there is, not another draw
        if reply["decision"] is None or reply["confidence"] < 0.7:
            reply = {**sonnet[ticket], "usd": nano[ticket]["usd"] + sonnet[ticket]["usd"]}  # both ran
        cascade[ticket] = reply
    report = {}
    for arm, replies in {"nano": nano, "sonnet": sonnet, "cascade": cascade}.items():
        right = [reply["decision"] == gold[ticket] for ticket, reply in replies.items()]  # all three fields; None is wrong
        usd = [reply["usd"] for reply in replies.values()]
        report[arm] = {"decisions": sum(right) / len(ids), "usd": sum(usd) / len(ids)}  # all tickets
    return report
    # </solution>

# %% id="ex1-check"
harness = lab.check("ex1", harness)

# %% [markdown] id="ex1-why" tags=["solution-only"]
# **Why not drop a failed ticket from every arm, so that the denominators are equal?** Because the customer behind it got no answer, and the
# tickets on which calls fail are often the long and hard ones. **Why not ask again?** A second call is another draw: the arms would differ by
# luck, and a call that failed got a second chance in one arm only. `run_bakeoff` walks every cascade over one recording.

# %% id="ex1-use"
print("As found:")
show(as_found(list(gold), gold, impatient()))
print("\nRepaired:")
show(harness(list(gold), gold, impatient()))

# %% [markdown] id="ex1-after"
# Both tables are of the same tickets and the same client. The first one says what its code did, and that is not what its heading promises. So read
# the code of a bake-off before you read its table.

# %% [markdown] id="instructor-bug" tags=["instructor"]
# minutes: 2
# section: Find the bug
# say: Nothing crashed, and nobody cheated. Each fault is one line, and each one reads well.
# show: As found and repaired, side by side.
# ask: Which of the four would a test have caught? Which one would only a reader catch?

# %% [markdown] id="sure"
# ## How sure is a share?
#
# A published table (README of the AWS sample that these policies come from) gives Sonnet 28 of 30 tickets right and Nano 25 of 30, as
# graded by a judge. That is 93 % against 83 %.
#
# **Predict first.** Do 28 of 30 and 25 of 30 leave a gap between their 95 % intervals? Write `"yes"` or `"no"`, and how sure you are.

# %% id="sure-guess"
my_guess_gap = ...
lab.predict("intervals apart", my_guess_gap, among=("yes", "no"), confidence=...)

# %% [markdown] id="ex2-header"
# ## Exercise 2 · 4 minutes · core · Do the intervals meet?
#
# Write `apart(first, second)`. Each is a pair `(right, tickets)`, such as `(28, 30)`. Return `True` if their two 95 % Wilson intervals have no
# point in common. `wilson(28, 30)` gives you an interval with `.low` and `.high`.
#
# Hints: `lab.hint("ex2")`.

# %% id="ex2" tags=["exercise"]
def apart(first, second):
    # <solution>
    a, b = wilson(*first), wilson(*second)
    return a.high < b.low or b.high < a.low
    # </solution>

# %% id="ex2-check"
apart = lab.check("ex2", apart)

# %% [markdown] id="ex2-why" tags=["solution-only"]
# **Why not ask whether one share lies inside the other's interval?** Because both shares come from a sample, and that question treats one of
# them as exact. It calls far too many differences clear, such as 28 of 30 against 25 of 30.

# %% id="ex2-use"
recorded = recorded_arms(documented(), published_policy())
frames = {**recorded, **bake.arms}
counts = {name: int(frames[name]["correct"].sum()) for name in ("sonnet", "cascade (documented)", "sonnet_only", "nano_only")}
pairs = [
    ("published, README", "sonnet, nano", (28, 30), (25, 30)),
    ("recorded", "sonnet, cascade", (counts["sonnet"], 150), (counts["cascade (documented)"], 150)),
    (HERE, "sonnet, nano", (counts["sonnet_only"], len(tickets)), (counts["nano_only"], len(tickets))),
]
rows = []
for source, arms, first, second in pairs:
    row = {"source": source, "arms": arms, "right": f"{first[0]}, {second[0]} of {first[1]}"}
    row |= {name: f"{wilson(*pair).low:.4f} to {wilson(*pair).high:.4f}" for name, pair in (("95 % of the first", first), ("95 % of the second", second))}
    rows.append(row | {"apart": apart(first, second)})
print(text_table(pd.DataFrame(rows)))
print("\nThe first line, apart or not:")
lab.score("intervals apart", rows[0]["apart"])

# %% [markdown] id="ex2-after"
# Apart: yes means that the difference is clear at a glance. Apart: no does **not** mean that the arms are equal. It means that these counts
# alone do not settle it. So what can 28 and 25 of 30 say?
#
# The *paired p* below looks at the tickets that only one of the two got right. It is the chance that they split at least so unevenly if both were
# equally good (Exercise 6). Below 0.05 people call a difference significant.

# %% id="sure-thirty"
low, high = newcombe(28, 30, 25, 30)
smallest, largest = mcnemar_from_totals(28, 25, 30)
print(f"28 against 25 of 30 (published, README): difference {3 / 30:+.2f}, 95 % between {low:+.2f} and {high:+.2f}")
print(f"Which tickets were right was not published. Whatever they were, the paired p lies between {smallest:.2f} and {largest:.2f}.")
fewest, most = (items_to_show_difference(0.10, share) for share in (3 / 30, 7 / 30))  # tickets that one arm alone got right: 3 to 7
print(f"To show a true difference of 0.10 four times in five it takes {fewest} to {most} tickets, and more if they come in families.")

# %% [markdown] id="instructor-sure" tags=["instructor"]
# minutes: 2
# section: How sure is a share?
# say: Three tickets more out of thirty. The intervals overlap for most of their length, and yet a table like this decides what people ship.
# show: The line with the number of tickets it takes.
# ask: How many tickets would you need to tell 93 % from 83 %? Collect guesses, then try apart((93, 100), (83, 100)) and apart((186, 200), (166, 200)).

# %% [markdown] id="baselines"
# ## What chance would get
#
# Escalate tickets at random to a better model, and on average accuracy goes up. So a cascade that beats Nano has not yet shown that its gate
# is any good. The gate has to beat a random choice of as many tickets.

# %% [markdown] id="ex3-header"
# ## Exercise 3 · 5 minutes · core · What chance would get
#
# Write `random_at(rate, cheap, strong)`. A random share `rate` of the tickets goes on from the cheap to the strong model. Both models are given
# as `{"accuracy": 0.8, "usd": 0.001}`, USD per ticket. Return two numbers: the expected accuracy, and the expected USD per ticket.
#
# Hints: `lab.hint("ex3")`.

# %% id="ex3" tags=["exercise"]
def random_at(rate, cheap, strong):
    # <solution>
    accuracy = (1 - rate) * cheap["accuracy"] + rate * strong["accuracy"]
    usd = cheap["usd"] + rate * strong["usd"]
    return accuracy, usd
    # </solution>

# %% id="ex3-check"
random_at = lab.check("ex3", random_at)

# %% [markdown] id="ex3-why" tags=["solution-only"]
# **Why do the two formulas differ?** Because an escalated ticket has one final answer but two bills. Accuracy is a mix of two models; cost is
# the cheap model for everybody, plus the strong one for some. A baseline that charges only the winner is cheaper than any real cascade.

# %% id="ex3-use"
def priced(arm):
    return {"accuracy": arm["correct"].mean(), "usd": arm["cost_usd"].mean()}


rows, chances = [], {}
for source, cheap, strong, cascades in (
    (HERE, nano, bake.arms["sonnet_only"], {name: bake.arms[f"cascade_{name}"] for name in ("documented", "published")}),
    ("recorded", recorded["nano"], recorded["sonnet"], {name: recorded[f"cascade ({name})"] for name in ("documented", "published")}),
):
    for policy, arm in cascades.items():
        rate, n = arm["escalated"].mean(), len(arm)
        chances[source, policy] = random_baseline(cheap, strong, rate, DRAWS, SEED)
        chance = chances[source, policy].accuracy_interval
        row = {"source": source, "policy": policy, "rate": rate, "right": int(arm["correct"].sum())}
        row |= {"by chance": n * random_at(rate, priced(cheap), priced(strong))[0], "from": n * chance.low, "to": n * chance.high}
        rows.append(row)
against_chance = pd.DataFrame(rows)
print("by chance: expected to be right; 95 % of the random draws lie between from and to")
print(text_table(against_chance, {"by chance": 1, "from": 1, "to": 1}))

# %% id="ex3-sentence"
for row in against_chance.to_dict("records"):
    said = "beats chance" if row["right"] > row["to"] else "does worse than chance" if row["right"] < row["from"] else "lies within chance"
    print(f"{row['source']}, {row['policy']} policy: {row['right']} right, which {said} ({row['from']:.0f} to {row['to']:.0f}).")

ceiling = bake.summary.set_index("arm").loc["oracle nano, sonnet"]
print(f"\nRoom for any gate between these two ({HERE}): from {nano['correct'].sum()} right to the oracle's {ceiling['right']:.0f},")
print(f"which escalates {ceiling['escalation_rate']:.0%} of the tickets.")

# %% [markdown] id="ex3-after"
# A gate that does worse than chance picks the wrong tickets: more often than a random choice it
# sends on what Nano gets right, and keeps what Nano gets wrong. Remember that the published policy's list of categories was fitted on the
# very tickets it was praised on (lab 03).

# %% [markdown] id="instructor-chance" tags=["instructor"]
# minutes: 2
# half: 1
# told: ex3
# section: What chance would get
# say: The question is never "is the cascade better than Nano?". It is "is the gate better than a coin?".
# show: The two recorded rows. Those are real models and real labels.
# ask: If a coin does as well as your gate, which one would you rather maintain?
# cut: Show the two recorded rows and no others.

# %% [markdown] id="gap"
# ## How much of the gap comes back
#
# Now the recorded result: the real Nano and the real Sonnet on Amazon Bedrock, 2026-08-31, 150 tickets, labels reviewed by people.
#
# **Predict first.** The documented cascade saved 90.5 % of Sonnet's cost there. Which share of the accuracy gap between Nano and Sonnet did
# it recover, by category? 0 is as good as Nano, 1 as good as Sonnet.
#
# In the table after Exercise 4 `joint` counts the tickets right in all three fields, and `human_recall` is the share of the tickets needing a person
# that some tier flagged.

# %% id="gap-guess"
my_guess_recovered = ...  # such as 0.4, or a range such as (0.3, 0.6)
lab.predict("gap recovered", my_guess_recovered, within=0.1, confidence=...)

# %% [markdown] id="ex4-header"
# ## Exercise 4 · 3 minutes · core · How much of the gap comes back
#
# Write `gap_recovered(cheap, strong, cascade)`. All three are accuracies, or counts on the same tickets. Return the share of the gap between
# cheap and strong that the cascade closes. If strong is not better than cheap, return `math.nan`.
#
# Hints: `lab.hint("ex4")`.

# %% id="ex4" tags=["exercise"]
def gap_recovered(cheap, strong, cascade):
    # <solution>
    if strong <= cheap:
        return math.nan
    return (cascade - cheap) / (strong - cheap)
    # </solution>

# %% id="ex4-check"
gap_recovered = lab.check("ex4", gap_recovered)

# %% [markdown] id="ex4-why" tags=["solution-only"]
# **Why not "the cascade keeps 89 % of Sonnet's accuracy" (recorded)?** Because Nano alone keeps 87 % of it, for about an eightieth of the
# cost. Measured from zero every arm looks close to the best one. Measured from the cheap model you see what the escalations bought.

# %% id="ex4-use"
recorded_table = summary(recorded)
print(text_table(recorded_table[["arm", "n", "right", "joint", "cost_usd", "escalation_rate", "human_recall", "source"]]))
by_arm = recorded_table.set_index("arm")
print()
lab.score("gap recovered", gap_recovered(*(by_arm.loc[name, "right"] for name in ("nano", "sonnet", "cascade (documented)"))))
for arm in ("cascade (documented)", "cascade (published)"):
    for column in ("right", "joint"):
        share = gap_recovered(*(by_arm.loc[name, column] for name in ("nano", "sonnet", arm)))
        print(f"recorded, {arm}: {share:+.2f} of the gap by {'category' if column == 'right' else 'all three fields'}")
    print(f"  at {1 - by_arm.loc[arm, 'cost_usd'] / by_arm.loc['sonnet', 'cost_usd']:.1%} less cost than Sonnet")

# %% [markdown] id="gap-why"
# The documented cascade saved nearly all of the cost and repaired few errors. By all three fields it is *worse* than Nano alone. Why? Look at
# Nano's errors and at how many of them the gate caught. (`cohort`: the recording marks each scenario as routine,
# ambiguous or high risk.)

# %% id="gap-why-errors"
kept = recorded["cascade (documented)"]
errors = recorded["nano"][~recorded["nano"]["correct"]]
seen = int(kept.loc[errors.index, "escalated"].sum())
print(f"Nano's errors (recorded): {len(errors)}, with a confidence from {errors['confidence'].min():.2f} to {errors['confidence'].max():.2f}.")
print(f"The gate escalates below 0.70, for a high priority, or for a person. It caught {seen} of the {len(errors)}.\n")
families = errors.groupby(["family", "cohort"]).size().rename("errors").reset_index().sort_values(["errors", "family"], ascending=[False, True])
print(text_table(families))

sent = kept[kept["escalated"]].index
print(f"\nEscalated: {len(sent)} tickets. All three fields right: Nano {recorded['nano'].loc[sent, 'joint'].sum()}, Sonnet {recorded['sonnet'].loc[sent, 'joint'].sum()}.")

# %% [markdown] id="gap-explain"
# Nano is confident where it is wrong, and nearly all its errors come from two routine scenarios: priority is low, no person is needed. A gate
# on confidence and stakes cannot catch them. And of the tickets that it did escalate, Sonnet got fewer right by all three fields than Nano
# had.
#
# So the saving is real, but "the quality of the strong model at the price of the cheap one" is not what was measured.

# %% [markdown] id="instructor-gap" tags=["instructor"]
# minutes: 3
# half: 2
# told: ex4
# section: How much of the gap comes back
# say: This is the recorded result, and it is not what the architecture slide promised. We show it because it is true.
# show: The families table. Two scenarios hold nearly all the errors.
# ask: Which signal would have seen these errors? (Not the model's own confidence. Category rules chosen on other tickets, a judge on a sample, the label's probability.)
# cut: Say the two recovered shares in one sentence.

# %% [markdown] id="parity"
# ## As good as?
#
# "No significant difference, so as good as Sonnet" is a common and wrong sentence about cascades. In a small sample
# hardly any difference is significant. Parity is a claim of its own: the loss is smaller than a **margin** that was chosen before. Yours is `MAX_LOSS`.

# %% [markdown] id="ex5-header"
# ## Exercise 5 · 4 minutes · core · May you call it parity?
#
# Write `claim(low, high, margin)`. `low` and `high` are the 95 % interval of the difference in accuracy, arm minus strong model; `margin` is the loss
# you accept, such as 0.02. Return
#
# - `"parity"` if the whole interval lies above `-margin`,
# - else `"worse"` if the whole interval lies below 0,
# - else `"not shown"`.
#
# Hints: `lab.hint("ex5")`.

# %% id="ex5" tags=["exercise"]
def claim(low, high, margin):
    # <solution>
    if low > -margin:
        return "parity"
    return "worse" if high < 0 else "not shown"
    # </solution>

# %% id="ex5-check"
claim = lab.check("ex5", claim)

# %% [markdown] id="ex5-why" tags=["solution-only"]
# **Why is an interval from -0.07 to +0.03 no parity, though it contains 0?** Because it contains -0.07 too. "We found no difference" and "we found
# that there is none worth minding" are two sentences, and only the second one lets you ship.

# %% id="ex5-use"
pairs = [(HERE, name, arm, sonnet) for name, arm in bake.arms.items() if name not in ("sonnet_only", *ORACLES) and not name.startswith("random")]
pairs += [("recorded", name, recorded[name], recorded["sonnet"]) for name in recorded if name != "sonnet"]
rows, shown_parity = [], {}
for source, name, arm, strong in pairs:
    found = non_inferiority(arm["correct"], strong["correct"], strong["family"], margin=MAX_LOSS, draws=DRAWS, seed=SEED)
    shown_parity[source, name] = claim(found.low, found.high, MAX_LOSS)
    saving = 1 - arm["cost_usd"].sum() / strong["cost_usd"].sum()
    row = {"arm": name, "difference": found.difference, "low": found.low, "high": found.high, "claim": shown_parity[source, name]}
    rows.append(row | {"saving": saving, "source": source})
against_strong = pd.DataFrame(rows)
print(f"Against Sonnet alone, margin {MAX_LOSS:g}; {HERE}: {sonnet['family'].nunique()} scenario families, recorded: {recorded['sonnet']['family'].nunique()}")
print(text_table(against_strong))

# %% [markdown] id="parity-explain"
# The interval draws whole scenario families, because tickets of one scenario tend to go right or wrong together, and is never narrower than the one for single
# tickets. A row that says "not shown" tempts: a slightly wider margin might turn it into parity. A margin chosen after looking is no margin.
#
# A difference over all tickets can also hide where it comes from. The recorded cascade against the recorded Sonnet, family by family:

# %% id="parity-forest"
families = by_group(recorded["cascade (documented)"], recorded["sonnet"])
forest_figure(families, "recorded", title="Difference by scenario family (recorded)", arm="the cascade", other="Sonnet", margin=MAX_LOSS)

# %% [markdown] id="instructor-parity" tags=["instructor"]
# minutes: 2
# section: As good as?
# say: Absence of evidence is not evidence of absence. The margin on the board is from before we looked, and it stays.
# show: The rows that say "not shown", then the forest figure: two families carry the whole difference (recorded).
# ask: Who wants to raise the margin now? What would you tell an auditor?
# cut: Leave out the forest figure.

# %% [markdown] id="router"
# ## A router that learned
#
# A gate acts on the cheap answer. A *router* acts before any call: it learned on the **calibration** tickets which texts Nano gets wrong and Sonnet
# right, sends those straight to Sonnet, and saves Nano's call there.
#
# **Predict first.** Does it beat a random choice that spends as much? Write `"yes"` or `"no"`.

# %% id="router-guess"
my_guess_router = ...
lab.predict("router beats chance", my_guess_router, among=("yes", "no"), confidence=...)

# %% id="router-train"
SHARE = 0.3  # of the tickets to Sonnet; chosen beforehand, like the margin
known = [entry.ticket for entry in calibration]
fitted = [frame(run_arm(TRIAGE, known, single(tier), replies), calibration) for tier in ("nano", "sonnet")]
past = history(known, *fitted)
router = train_router(past, split="calibration")
rule = router.router("sonnet", share=SHARE)
print(f"Learned from {router.n} calibration tickets ({HERE}); on {router.hard} of them Nano is wrong and Sonnet right.")
print(f"Telling those from the rest, in families it did not learn from: {auroc(router.held_out, past.hard):.2f} (0.5 is chance, 1 is perfect).")

# %% id="router-test"
now = history([entry.ticket for entry in tickets], nano, sonnet)
later = router.probabilities(now.texts) >= rule.at_least
judged = verdict(now, later, draws=DRAWS, seed=SEED, name="the router")
gate = verdict(now, bake.arms["cascade_documented"]["escalated"], cheap_first=True, draws=DRAWS, seed=SEED, name="the documented gate")
print(f"Test tickets, {HERE}:")
for one in (judged, gate):
    print(fill(one.sentence, 104, initial_indent="- ", subsequent_indent="  "))
lab.score("router beats chance", judged.beats)

# %% [markdown] id="router-explain"
# The test tickets are looked at **once**. Trying ten routers here and keeping the best would fit the test: the leak of lab 03 again. A router
# that does well on tickets it learned from has shown nothing: it has seen their answers. The intervals above draw whole families, so they speak of new
# families too; the range in Exercise 3 is of random draws on these tickets only.
#
# `category majority` and `kNN` in the first table learned from the same calibration tickets.

# %% [markdown] id="instructor-router" tags=["instructor"]
# minutes: 2
# half: 1
# section: A router that learned
# say: Equal spend is the fair opponent. A router that sends half of the tickets to the dear model is mostly the more accurate one beside one that sends a tenth, whatever it learned.
# show: The verdict sentence, and the number of calibration tickets it learned from.
# ask: What would help more, a better method or more labelled families?
# cut: Read out the verdict sentence only.

# %% [markdown] id="ship"
# ## Would you ship it?
#
# Four requirements, of the kind that a team agrees on before it looks at the numbers:
#
# 1. **saves**: it costs less than the strong model alone;
# 2. **parity**: your `claim` says so, with the margin `MAX_LOSS`;
# 3. **beats chance**: it gets more right than 97.5 % of random draws at its rate (a gate between two models; "-" where there is none to test);
# 4. **flags people**: it misses no more tickets that need a person than the strong model does.

# %% id="ship-rules"
def requirements(source, name, arm, strong):
    policy = name.removeprefix("cascade").strip("_ ()")
    chance = chances.get((source, policy), bake.arms.get(f"random at {policy} rate") if source == HERE else None)
    flagged, wanted = (recall(rows["gold_needs_human"], rows["review_required"]) for rows in (arm, strong))
    return {
        "saves": bool(arm["cost_usd"].sum() < strong["cost_usd"].sum()),
        "parity": shown_parity[source, name] == "parity",
        "beats chance": None if chance is None else bool(arm["correct"].mean() > chance.accuracy_interval.high),
        "flags people": None if math.isnan(wanted) else bool(flagged >= wanted),
    }

# %% id="ship-table"
rows = []
for source, name, arm, strong in pairs:
    met = requirements(source, name, arm, strong)
    rows.append({"arm": name, **met, "ship": all(value is not False for value in met.values()), "source": source})
verdicts = pd.DataFrame(rows)
print(f"Ready to lose less than {MAX_LOSS:.1%} of accuracy.")
print(text_table(verdicts))

# %% id="ship-verdict"
for source, rows in verdicts.groupby("source", sort=False):
    fit = rows[rows["ship"]]["arm"].tolist()
    print(f"{source}: {'ship ' + ' or '.join(fit) if fit else 'ship none of them, stay with Sonnet alone'}.")
    closest = against_strong[against_strong["source"] == source].sort_values(["low", "arm"], ascending=[False, True])["arm"]
    rest = rows[~rows["ship"]].set_index("arm").to_dict("index")
    for arm in [name for name in closest if name in rest][:3]:
        missing = [what for what in ("saves", "parity", "beats chance", "flags people") if rest[arm][what] is False]
        print(f"  {arm}: not met: {', '.join(missing)}.")

# %% [markdown] id="ship-explain"
# Listed are the arms whose worst case against Sonnet is least bad. Where parity is not shown, get more tickets, or run the cascade beside what
# you have. Of many arms the best one looks better than it is: test the one you picked on fresh tickets.
#
# **Change it.** Set `MAX_LOSS` to what your team agreed on, then run everything from Exercise 5 on again.
#
# Your finance department does not read notebooks. One call writes the whole comparison as a page that needs no network and prints well. It draws
# its intervals anew, 2,000 times, so their last digits may differ from the tables above.

# %% id="ship-report"
page = report_html(bake, recorded, published_tables(), margin=MAX_LOSS)
report_file = Path(scratch.name) / "report.html"
report_file.write_text(page, encoding="utf-8")
first, *others = cases(bake, MAX_LOSS, SEED)
print(f"report.html: {page.count('<h2 ')} sections, {page.count('<figure>')} figures, {page.count('<table>')} tables; it begins ({HERE}):\n")
print(fill(headline(first), 104))
print(fill(" ".join(answer(first)), 104))
for case in others:
    print(fill(headline(case), 104))

# %% [markdown] id="ship-command"
# In a terminal, `workshop bakeoff --all --report` leaves such a page in `out/report.html`, with a margin of 0.05; `--dry-run` says what it would cost, `--limit 30` shows
# how wide intervals get.

# %% [markdown] id="instructor-ship" tags=["instructor"]
# minutes: 1
# section: Would you ship it?
# say: Compare with the show of hands from the beginning. Who changed their mind, and because of which column?
# show: The line of the arm that came closest.
# ask: What is the cheapest next experiment that could turn a "not shown" into a yes?
# cut: Show the verdict only.
# allow: ship 97.5 % (the upper end of a 95 % interval)

# %% id="meter"
lab.meter()
print(f"Sonnet's part, USD per 1,000 tickets: {1000 * sonnet['cost_usd'].mean():.2f} ({HERE}), {1000 * recorded['sonnet']['cost_usd'].mean():.2f} (recorded).")
if HERE == "sandbox":
    print("The recorded tickets took more tokens each, so the first cell's figure for live use is the higher one.")
print("Recorded costs are at the prices of their day. Lab 01 priced those tokens by a newer table, in which Sonnet costs more.")

# %% [markdown] id="takeaways"
# ## What to remember
#
# - Same tickets, same replies, one denominator, every call charged. A harness that runs without an error can still flatter.
# - No share without its interval. "No difference found" is not parity: parity needs a margin, chosen before the numbers are there.
# - A gate or a router has to beat a coin that spends as much. An oracle shows what a perfect gate could reach.
# - Saving and quality are two results. The recorded cascade saved 90.5 % and recovered 0.17 of the gap (recorded, 150 tickets).
# - A number without a source cannot be checked by anybody.

# %% [markdown] id="recall"
# ## Can you still say it?
#
# <details><summary>1. Why does "the cascade is better than the cheap model" say nothing yet about its gate?</summary>
# Any escalation to a better model raises accuracy. The gate has to beat random escalation at the same rate.
# </details>
#
# <details><summary>2. An interval reaches from -0.06 to +0.02, and you may lose 0.03. What may you say?</summary>
# Neither parity nor worse is shown: it reaches past the margin and above zero. More tickets would narrow it.
# </details>
#
# <details><summary>3. From lab 04: which failed calls are worth a retry, and which are not?</summary>
# Throttling, server errors and failed connections, a few times with growing random delays. Not a refused request or a missing permission: the same
# request would be refused again.
# </details>

# %% [markdown] id="instructor-close" tags=["instructor"]
# minutes: 1
# section: Close
# say: You can now read any bake-off, and make one that others can check.
# ask: The three recall questions, books closed. Then: name one number your own team uses that has no source.

# %% [markdown] id="further"
# ## Going further
#
# This section is not counted in the minutes, and nothing later needs it. Take from it what you like; run its cells from top to bottom. In order: a paired
# test, the published tables, other columns, the gap as a figure, judges and their scores, a cache, and a playground.

# %% [markdown] id="instructor-further" tags=["instructor"]
# minutes: 0
# section: Going further
# say: For those who are done early, or for home.
# show: (If there is time) The paired row of the recorded cascade, beside its two intervals from Exercise 2. Or the table of a judge's scores, with its two controls. Or the cache's table, last rows first.
# ask: A judge gives everything a 5. What do you know now, and about whom?

# %% [markdown] id="paired"
# ### The same tickets, side by side
#
# Two arms saw the same tickets. Most tickets both get right or both get wrong, and those say nothing about which arm is better. Count the
# others: `only_arm` and `only_other`. `p` is the chance of a split at least this uneven if the arms were equally good. `low` and `high` are the
# 95 % interval of `diff`, the difference in accuracy.

# %% id="paired-table"
PAIRED = ["arm", "against", "difference", "low", "high", "only_arm", "only_other", "p", "source"]
real = {"arm": "cascade (documented)", "against": "sonnet", **compare(kept, recorded["sonnet"], DRAWS, SEED), "source": "recorded"}
paired = pd.concat([bake.comparisons[PAIRED], pd.DataFrame([real])[PAIRED]], ignore_index=True)
print(text_table(paired.rename(columns={"difference": "diff"})))

# %% id="paired-families"
lost = kept[~kept["correct"] & recorded["sonnet"]["correct"]]
print(f"recorded: {len(lost)} tickets only Sonnet got right, from {lost['family'].nunique()} of {kept['family'].nunique()} scenario families")
print(f"  p {real['p']:.5f}, and a 95 % interval from {real['low']:+.3f} to {real['high']:+.3f}")

# %% [markdown] id="paired-explain"
# Take the recorded row. In Exercise 2 its two intervals just met. The paired test finds a clear difference, because it looks at pairs and not
# only at totals.
#
# But `p` treats tickets as independent, and tickets of one family are near-duplicates. The interval in this table draws whole families
# instead. It reaches up to zero, because the lost tickets come from so few families. On *these* tickets Sonnet is better; eleven families
# are too few to say how it would be on others. Where the two disagree, trust the interval.

# %% [markdown] id="ex6-header"
# ### Exercise 6 · 6 minutes · stretch · A test for pairs
#
# Write `p_value(first, second)`: two lists of `True` and `False`, one entry a ticket, in the same order. Take the tickets that only one arm got
# right. If the arms were equal, each would be the toss of a fair coin. Return the chance of a split at least as uneven, to either side.
# `math.comb(n, i) / 2**n` is the chance of i heads in n tosses.
#
# Hints: `lab.hint("ex6")`.

# %% id="ex6" tags=["exercise"]
def p_value(first, second):
    # <solution>
    only_first = sum(a and not b for a, b in zip(first, second, strict=True))
    only_second = sum(b and not a for a, b in zip(first, second, strict=True))
    n = only_first + only_second
    tail = sum(math.comb(n, i) for i in range(min(only_first, only_second) + 1)) / 2**n
    return min(1.0, 2 * tail)
    # </solution>

# %% id="ex6-check"
p_value = lab.check("ex6", p_value)

# %% [markdown] id="ex6-why" tags=["solution-only"]
# **Why not compare the two totals?** Because the totals forget that both arms saw the same tickets. An easy ticket that both get right adds
# to both totals and to the noise, and tells you nothing. The paired test throws it out.

# %% id="ex6-use"
by_hand = p_value(kept["correct"].tolist(), recorded["sonnet"]["correct"].tolist())
print(f"recorded, cascade (documented) against Sonnet: p {by_hand:.5f} by hand, {real['p']:.5f} by the library")

# %% [markdown] id="published"
# ### Beside the published tables
#
# The AWS sample printed three tables about this comparison: one in its README, one in its docs, and a *locked test*, the 150 tickets that the
# recording holds. Put them beside the recorded replies and your own run, and give every row its source.

# %% id="published-rows"
PLACES = {"README": "published, README", "bakeoff-results": "published, docs", "locked test": "published, locked test"}
rows = []
for row in published_tables().to_dict("records"):
    place = next(label for word, label in PLACES.items() if word in row["source"])
    graded_by = "people" if "human" in row["reference"] else "a judge"
    counted = {"n": row["tickets"], "right": int(row["category_right"]), "cost_usd": row["cost_usd"]}
    rows.append({"source": place, "arm": row["arm"].removesuffix("_policy"), **counted, "graded by": graded_by})
for table, source, wanted, graded_by in ((recorded_table, "recorded", 3, "people"), (bake.summary, HERE, 4, "the labels")):
    for row in table.head(wanted).to_dict("records"):
        rows.append({"source": source, **{key: row[key] for key in ("arm", "n", "right", "cost_usd")}, "graded by": graded_by})

# %% id="published-table"
everything = pd.DataFrame(rows)
everything["share"] = everything["right"] / everything["n"]
ends = [wilson(int(row["right"]), int(row["n"])) for row in rows]
everything["low"], everything["high"] = [end.low for end in ends], [end.high for end in ends]
everything["usd_per_1000"] = 1000 * everything["cost_usd"] / everything["n"]
shown = ["source", "arm", "n", "right", "share", "low", "high", "usd_per_1000", "graded by"]
print(text_table(everything[shown].astype({"right": int}), {"share": 2, "low": 2, "high": 2, "usd_per_1000": 2}))

# %% id="published-read"
usd = everything.set_index(["source", "arm"])["usd_per_1000"]
first, second = usd["published, README", "sonnet_only"], usd["published, docs", "sonnet_only"]
print(f"README to docs: the same 30 tickets on Sonnet cost {second / first:.1f} times as much,")
print("because tokens were counted and no longer guessed.")
locked = everything[everything["source"] == "published, locked test"]
ours = everything[everything["source"] == "recorded"].set_index("arm")
pairs = {"sonnet_only": "sonnet", "nano_only": "nano", "cascade_documented": "cascade (documented)"}
same = [abs(row["cost_usd"] - ours.loc[pairs[row["arm"]], "cost_usd"]) < 1e-8 for row in locked.to_dict("records")]
print(f"Locked test: {sum(same)} of {len(same)} published costs come out again from the recorded replies.")

# %% [markdown] id="published-explain"
# Rows of different sources are **not** comparable: other tickets, other references, other prices
# ([how they differ](../../data/published/README.md)). The README charges one blended price for guessed tokens, the recording charges each
# direction by reported usage. What may be compared are rows with one source. What may be *trusted* are rows that somebody else can compute
# again.

# %% [markdown] id="ex7-header"
# ### Exercise 7 · 3 minutes · stretch · Which numbers must go?
#
# A line of this slide may stay if it says which replies it was computed from, and names the models that gave them. Weak but traceable may
# stay.
#
# | | the number | graded by | source |
# |---|---|---|---|
# | A | Sonnet: 28 of 30 right | Opus 4.7, a judge | published, README |
# | B | Nano to Sonnet, documented policy: 126 of 150 right | people | recorded, 2026-08-31 |
# | C | the cascade keeps 98 % of the quality | | |
# | D | Nemotron Nano: 71 of 160 right | the labels | sandbox |
# | E | Sonnet: 2.03 USD per 1,000 tickets, blended price, guessed tokens | | published, README |
# | F | 60 to 80 % saved on typical traffic | | experience |
#
# Put the letters that must go in a list. Hints: `lab.hint("ex7")`.

# %% id="ex7" tags=["exercise"]
# <solution>
strike = ["C", "D", "F"]
# </solution>

# %% id="ex7-check"
strike = lab.check("ex7", strike)

# %% [markdown] id="ex7-why" tags=["solution-only"]
# **Why does D go, though a source stands there?** Because the source contradicts the line: in the sandbox a stand-in answered, and Nemotron Nano
# never saw a ticket. **Why does E stay?** Because it says how weak it is. Striking weak numbers hides them; labelling them lets others judge.

# %% [markdown] id="columns"
# ### The other columns
#
# `joint`: category, priority and `needs_human` all right. `urgent`: of the tickets labelled P0 or P1, the share that was called P0 or P1. `human`: of
# those that need a person, the share that some tier flagged. Bounds are 95 %, drawing whole families. A cascade can win one column and lose the
# next.

# %% id="columns-table"
def between(low, high):
    return f"{low:.2f} to {high:.2f}"


short = bounds.rename(columns=lambda name: name.replace("_recall", ""))
for what in ("joint", "urgent", "human"):
    short[f"{what}_range"] = list(map(between, short[f"{what}_low"], short[f"{what}_high"]))
shown = ["arm", "joint", "joint_range", "urgent", "urgent_range", "human", "human_range"]
print(text_table(short[shown], {"joint": 2, "urgent": 2, "human": 2}))
print(f"\nSource: {HERE}. Latency, both tiers added up: half of the tickets (p50), 95 of 100 (p95) took at most that long.")
print(text_table(bake.summary[["arm", "p50_ms", "p95_ms", "source"]]))

# %% [markdown] id="gap-again"
# ### The gap as a figure, and the gap here
#
# First the recorded arms with chance and oracle, then how much of the gap this run's cascades recover.

# %% id="gap-figure"
arms = {**recorded, **{f"random at {policy} rate": chances["recorded", policy] for policy in ("documented", "published")}}
arms["oracle"] = oracle_baseline(recorded["nano"], recorded["sonnet"])
cost_quality_figure(summary(arms), "recorded", title="What accuracy cost (recorded on Bedrock, 2026-08-31)")

# %% id="gap-here"
gap = compare(bake.arms["sonnet_only"], nano, DRAWS, SEED)
print(f"Here ({HERE}), sonnet_only against nano_only: {gap['difference']:+.3f}, 95 % between {gap['low']:+.3f} and {gap['high']:+.3f}.")
for row in bake.comparisons.dropna(subset=["gap_recovered"]).to_dict("records"):
    if row["arm"].startswith("cascade_"):  # the policies between these two models
        print(f"  {row['arm']} recovers {row['gap_recovered']:+.2f} of it")
sure = gap["low"] > 0
print("The gap is clear of zero." if sure else "The gap is not clear of zero, so a share of it means little, however large it looks.")

# %% [markdown] id="judge"
# ### A judge instead of people
#
# Labels by people are expensive, so published bake-offs let a strong model label the tickets and grade the arms against *it*. Here Opus is the judge,
# asked once and kept.
#
# **Predict first.** On how many of 100 tickets does the judge agree with the label on the category?

# %% id="judge-guess"
my_guess_agreement = ...  # such as 90, or a range such as (85, 95)
lab.predict("judge agrees", my_guess_agreement, within=5, confidence=...)

# %% id="judge-agreement"
print(f"The judge is {called('opus')}. Its answers against the course's labels ({HERE}):")
print(text_table(bake.agreement))
lab.score("judge agrees", 100 * bake.agreement["share"].iloc[0], unit="of 100")
own, other = bake.agreement["agree"].iloc[0], bake.arms["sonnet_only"]["correct"].sum()
print(f"\nBy category the judge agrees with the labels on {own} tickets, sonnet_only on {other}:")
clear = own > other and apart((own, len(tickets)), (other, len(tickets)))
print(f"the judge is {'clearly better' if clear else 'not clearly better'} than the arm it grades.")
bill, strong_bill = bake.judge["cost_usd"].sum(), bake.arms["sonnet_only"]["cost_usd"].sum()
print(f"Its labels cost {bill:.2f} USD, {bill / strong_bill:.1f} times as much as sonnet_only. No arm's cost includes that.")

# %% id="judge-confusions"
judge = bake.judge
differs = judge[~judge["correct"]]
confused = differs.groupby(["gold_category", "category"]).size().rename("tickets").reset_index()
confused = confused.sort_values(["tickets", "gold_category", "category"], ascending=[False, True, True])
print(text_table(confused.rename(columns={"gold_category": "the label says", "category": "the judge says"}).head(5)))
same_slip = (bake.arms["sonnet_only"]["category"] == judge["category"])[~judge["correct"]].sum()
print(f"\nThe judge contradicts the label on {len(differs)} tickets.")
print(f"On {same_slip} of them {called('sonnet')} says the same as the judge.")

# %% [markdown] id="judge-explain"
# A judge is a model. Where it slips as a candidate slips, the slip counts as right. So measure
# the judge against people first, on a sample, and print that agreement beside every number it graded. Then use it for what it is good at: many
# tickets, the same yardstick, changes over time.

# %% [markdown] id="judge-generous"
# ### Does the judge favour an arm?
#
# Grade the same arms twice, by the labels and by the judge. Where arm and judge slip alike, the judge counts the slip as right.

# %% id="judge-favours"
by_label, by_judge = bake.summary.set_index("arm")["accuracy"], bake.judged.set_index("arm")["accuracy"]
shown = ["nano_only", "super_only", "sonnet_only", "cascade_documented", "cascade_published"]
graded = pd.DataFrame({"arm": shown, "labels": by_label[shown].tolist(), "judge": by_judge[shown].tolist()})
graded["judge minus labels"] = (graded["judge"] - graded["labels"]).round(3)
print(f"Accuracy by who grades ({HERE}); the judge gave {bake.judged['n'].iloc[0]} of {len(tickets)} tickets a valid label")
print(text_table(graded))

# %% id="judge-kindest"
gains = graded.sort_values("judge minus labels")
(least, low), (most, high) = gains[["arm", "judge minus labels"]].iloc[[0, -1]].to_numpy()
print(f"The judge adds most to {most} ({high:+.3f}) and least to {least} ({low:+.3f}).")
spread = {who: graded[who].max() - graded[who].min() for who in ("labels", "judge")}
print(f"Best and worst of these arms lie {spread['labels']:.3f} apart by the labels, {spread['judge']:.3f} by the judge.")

# %% [markdown] id="score"
# ### When a judge scores
#
# A judge may also *score* an answer, from 1 (certainly wrong) to 5 (certainly right), as the judge gate of lab 03 does. Before you read such
# scores, give the judge *controls*: answers of which you know whether they are right. Here each ticket gets three answers: Nano's, the label itself,
# and the label of a ticket of another category, which is wrong.
#
# **Predict first.** Which score do the labels themselves get, on average?

# %% id="score-guess"
my_guess_score = ...  # from 1 to 5
lab.predict("score of the labels", my_guess_score, within=0.5, confidence=...)

# %% id="score-judge"
from workshop_lib.cascade.asking import Grade, judge_request
from workshop_lib.llm import InvalidAnswer
from workshop_lib.tasks.base import payload, validate

JUDGE = "super"  # the judge of lab 03's gate; try "sonnet" or "opus"


def score(entry, answer):
    reply = replies(JUDGE, judge_request(TRIAGE.request(entry.ticket), answer))
    try:
        return validate(Grade, payload(reply)).score
    except InvalidAnswer:
        return None  # no valid grade

# %% id="score-controls"
from workshop_lib.tasks import Label


def wrong_label(entry):
    return next(other.label for other in calibration if other.label.category != entry.label.category)


said = fitted[0].set_index("item_id")  # Nano's answers to the calibration tickets
some = [entry for entry in calibration if said.loc[entry.ticket.id, "outcome"] == "answered"][:30]
answers = {
    "Nano": [Label(**said.loc[entry.ticket.id, list(FIELDS)]) for entry in some],
    "the label": [entry.label for entry in some],
    "a wrong label": [wrong_label(entry) for entry in some],
}

# %% id="score-table"
scores, rows = {}, []
for who, given in answers.items():
    found = [score(entry, answer) for entry, answer in zip(some, given, strict=True)]
    scores[who] = [grade for grade in found if grade is not None]
    row = {"answer by": who, "n": len(scores[who]), "mean": pd.Series(scores[who]).mean()}
    rows.append(row | {str(grade): found.count(grade) for grade in range(1, 6)})
print(f"How often {called(JUDGE)} gave each score ({HERE}):")
print(text_table(pd.DataFrame(rows), {"mean": 2}))
lab.score("score of the labels", rows[1]["mean"])

# %% id="score-apart"
from workshop_lib.evaluation.judging import corrected_accuracy, judge_rates

PASS = 4  # the judge's gate of lab 03 keeps an answer from here on
right, wrong, own = (scores[who] for who in ("the label", "a wrong label", "Nano"))
gold = [True] * len(right) + [False] * len(wrong)
pairs = auroc(right + wrong, gold)
print(f"A label scores above a wrong one in {100 * pairs:.0f} of 100 pairs (50 is chance, ties count half).")
rates = judge_rates(gold, [grade >= PASS for grade in right + wrong])
if rates.sensitivity + rates.specificity > 1:
    print(fill(corrected_accuracy(sum(grade >= PASS for grade in own), len(own), rates).sentence, 104))
else:
    print("It passes wrong labels as often as right ones, so nothing can be corrected.")
agreed = sum(given == entry.label for given, entry in zip(answers["Nano"], some, strict=True))
print(f"By the labels, {agreed} of Nano's {len(some)} answers are right in all three fields.")

# %% [markdown] id="score-explain"
# Without controls you would read Nano's mean as a verdict on Nano. With them you see the judge: how many right answers it fails, how many wrong ones it
# passes. The correction takes both rates out of the share it passed; its interval counts how few controls they rest on. Nano's errors are
# nearer to right than a label of another category: let your own controls err as your model errs.
#
# In the sandbox a judge grades as well as it routes. Of any judge ask: Does it use its scale? Do controls come apart? Does it
# agree with people on a sample? Ask that of a managed one too, such as the [evaluation jobs](../../docs/evaluation-jobs.md) of Amazon Bedrock.

# %% [markdown] id="near"
# ### A cache in front of the cascade
#
# A *semantic cache* asks no model at all: a text near enough to one answered before gets that answer. (`ReplyCache` repeats the very same request; this
# takes the answer to another text.) No gate looks at a hit. So count the *false hits*: those that give a category, priority or `needs_human` other
# than the label, or other than the cascade would have.
#
# **Predict first.** Say a cache recognises every scenario without fail, and gives each ticket the right answer to the first ticket of its
# family. How many of 100 hits are false?

# %% id="near-guess"
my_guess_false = ...  # such as 20, or a range such as (10, 30)
lab.predict("false hits", my_guess_false, within=10, confidence=...)

# %% id="near-perfect"
first, false = {}, []
for entry in calibration:
    if entry.family in first:
        false.append(entry.label != first[entry.family])
    first.setdefault(entry.family, entry.label)
print(f"Labels of the calibration tickets: {len(false)} hits in {len(first)} families, {sum(false)} of them false.")
lab.score("false hits", round(100 * sum(false) / len(false)), unit="of 100")

# %% [markdown] id="near-real"
# One scenario holds a passing remark, an ordinary fault and an outage, and each needs its own priority. The same subject is not the same answer.
#
# A real cache is blunter still. This one compares words and runs of letters, from 0 (nothing in common) to 1. Which similarity is near enough is
# learned on the calibration tickets, like every threshold.
#
# No shipped ticket repeats another, so some repeats are *built*: tickets sent again with a greeting, and others sent again with bad news, which we
# label P0 and for a person.

# %% id="near-threshold"
from workshop_lib.cascade import TextCache, TextVectors, item_text
from workshop_lib.evaluation.cached import cache_report, fit_cache_threshold

vectors = TextVectors.fit([item_text(entry.ticket) for entry in load_tickets("training")])
for one, other in (
    ("Please delete our account.", "Please do not delete our account."),
    ("You charged me twice for May.", "I was billed two times for May."),
):
    print(f"{vectors.similarity(one, other):.2f}  {one} / {other}")
print(fill(fit_cache_threshold(calibration, vectors, split="calibration").sentence, 104))

# %% id="near-traffic"
from dataclasses import replace
from random import Random

RESENT, CORRECTED = 20, 20  # tickets that come a second time: as they were, and with bad news
MORE = "Correction: since nine it is all of us, 400 people, and nobody can work."


def second(entry, mark, body, **label):
    ticket = entry.ticket.model_copy(update={"id": f"{entry.ticket.id}-{mark}", "body": body})
    return replace(entry, ticket=ticket, label=entry.label.model_copy(update=label))


mixed = Random(SEED).sample(tickets, len(tickets))
resent = [second(entry, "again", f"Hello,\n{entry.ticket.body}\nKind regards, Sam") for entry in mixed[:RESENT]]
calm = [entry for entry in mixed[RESENT:] if entry.label.priority in ("P2", "P3")]
worse = [second(entry, "worse", f"{entry.ticket.body}\n{MORE}", priority="P0", needs_human=True) for entry in calm[:CORRECTED]]
traffic = [*tickets, *resent, *worse]

# %% id="near-table"
walked = run_arm(TRIAGE, [entry.ticket for entry in traffic], documented(), replies)
rows = []
for name, n in {"as shipped": len(tickets), "with repeats": len(traffic)}.items():
    for threshold in (0.9, 0.7, 0.15):
        report = cache_report(walked[:n], traffic[:n], TextCache(vectors, threshold=threshold), draws=DRAWS, seed=SEED)
        ids = report.rows.loc[report.rows["hit"], "item_id"].str
        kinds = {kind: int(ids.endswith(kind).sum()) for kind in ("again", "worse")}
        rows.append({"tickets": name, "near": threshold, **kinds, **report.row})
        rows[-1] |= {f"{what}_range": between(report.row[f"{what}_low"], report.row[f"{what}_high"]) for what in ("hit", "false", "saving")}
shown = ["tickets", "near", "hits", "again", "worse", "hit_range", "false", "false_range", "changed", "saving", "saving_range"]
print(f"The documented cascade ({HERE}), {len(resent)} tickets again and {len(worse)} with worse news; bounds are 95 % by family")
print(text_table(pd.DataFrame(rows)[shown], {"near": 2, "saving": 2}))

# %% [markdown] id="near-explain"
# `again` and `worse`: hits among the repeats. `hit_range` is of all tickets, `false_range` of the hits. `changed`: hits that answer other than the cascade
# would. `saving`: of its cost.
#
# A cache saves where texts come again. But a ticket with bad news is about as near as one with a greeting, since one sentence weighs little in a
# long text, and gets the answer from before. As shipped the tickets hold nothing for a strict cache; a lax one finds other trouble
# in like words.
#
# **Change it.** Look for a threshold that parts `again` from `worse`. Then count repeats in your own traffic, and read
# [what to watch](../../docs/cache.md) before you switch a cache on.

# %% [markdown] id="playground"
# ### Playground
#
# Look for a threshold, then try a policy of your own against chance. Both run on the **calibration** tickets: if you tuned on the test tickets,
# they would no longer test anything. First the threshold: what it moves, and what may be promised.

# %% id="playground-explorer"
from workshop_lib.lab.interactive import threshold_explorer

threshold_explorer(*fitted, split="calibration", threshold=0.9, epsilon=0.2)

# %% [markdown] id="playground-policy"
# Put your threshold in the place of `below`.

# %% id="playground-run"
from workshop_lib.cascade import ConfidenceGate, Policy, StakesGate

mine = Policy(name="mine", tiers=("nano", "sonnet"), gates=(ConfidenceGate(below=0.9), StakesGate(needs_human=False)))
practice = calibration[:LIMIT]
# No judge is needed here: Sonnet, asked already, stands in for it, so that nobody pays for labels.
tried = run_bakeoff(replies, replies, practice, [mine], tiers=("nano", "sonnet"), judge="sonnet", draws=DRAWS, seed=SEED)
print(f"{tried.tickets} calibration tickets")
print(text_table(tried.summary[["arm", "right", "low", "high", "cost_per_1000", "escalation_rate", "source"]]))

# %% [markdown] id="own-curve"
# ### Your own curve, after five labs
#
# You are a model with a stated confidence, too. Lab 02 drew your curve from two labs; here are all of them. Do you come true as often as you say?

# %% id="own-curve-run"
mine_so_far = lab.my_calibration()
if mine_so_far:
    reliability_figure(mine_so_far, "How sure you were", "your predictions").show()

# %% [markdown] id="next"
# ## What next
#
# - Label 150 of your own tickets before you choose a threshold. `workshop bulk` takes your file.
# - Before production: run the cascade beside what you have, without acting on it. Watch escalation rate, retries, category mix and overrulings.
# - This was the last lab. The [start page](../../START.ipynb) says what is still open, the [syllabus](../../COURSE.md) what each lab was for.

# %% id="progress"
lab.progress()
