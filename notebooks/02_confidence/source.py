# %% [markdown] id="title"
# # Find out whether a model's confidence is worth anything
#
# You ask models how sure they are, refuse invalid ratings, measure whether "sure" means "right", and find out what you may
# promise.
#
# **Time:** 40 minutes alone, 37 minutes in a room. **Cost here:** nothing, the models are stand-ins on this machine. **Cost
# live:** about 0.03 USD on Amazon Bedrock at recorded token counts, for Nemotron Nano and, in *Going further*, Super (and an 8B
# on NVIDIA NIM, which prints no price).
#
# A *cascade* asks a cheap model first and passes the request on, *escalates* it, to an expensive one if the cheap one is not
# sure. Nobody guarantees that what it says of itself is true. This lab tests it.

# %% [markdown] id="objectives"
# ## What you will be able to do
#
# 1. **Validate** a reply strictly, so that a rating nobody gave cannot reach a threshold (Exercise 1).
# 2. **Build** a reliability table: the share right beside the stated confidence (Exercise 2).
# 3. **Compute** the calibration error: how far the two lie apart (Exercise 3).
# 4. **Judge** a corrected confidence where it was not fitted (Exercise 4).
# 5. **Count** the errors a threshold catches and the escalations it takes (Exercise 5).
# 6. **Say** how many labels it takes to promise anything about accepted answers (Exercise 6).
# 7. **Charge** invalid replies to the answers you got (Exercise 7, stretch).
# 8. **Pick** a threshold, and report it where it was not picked (Exercise 8, stretch).

# %% [markdown] id="prerequisites"
# | you need | why | from |
# |---|---|---|
# | the cost of a call from its usage | refused replies are charged too | lab 01 |
# | Python lists, `zip`, dictionaries | you write short functions | you can read `zip(confidence, correct)` |
#
# Every number names its source: **sandbox**, stand-in models on this machine, no figures of
# the vendors' models; **recorded**, real models on Amazon Bedrock, 2026-08-31, 150 tickets.

# %% [markdown] id="instructor-open" tags=["instructor"]
# minutes: 1
# section: Opening
# show: The list of objectives; start the cells of "The result first" meanwhile.
# say: A weather forecaster who says 90 percent is checked every evening. Who has ever checked a model that says 0.95?
# ask: Hands up if you have a confidence threshold in production. Keep your hand up if you know how many errors it catches.

# %% id="parameters" tags=["parameters"]
SEED: int = 0  # the sandbox's seed; the same seed gives the same answers
LIMIT: int = 50  # how many calibration questions to ask, 10 to 50
TICKETS: int = 80  # how many calibration tickets to route, 40 to 80
THRESHOLD: float = 0.7  # escalate a ticket whose stated confidence lies below this
BINS: int = 10  # how many bins the reliability tables of the tickets have
EPSILON: float = 0.1  # the share of wrong answers you tolerate among those you accept, 0.05 to 0.2
DELTA: float = 0.05  # the doubt you leave about that; 0.05 means 95 % sure

# %% id="setup"
import json
import math
from dataclasses import replace

import pandas as pd

from workshop_lib.cascade import single
from workshop_lib.evaluation.arms import frame, run_arm, text_table
from workshop_lib.evaluation.figures import reliability_figure
from workshop_lib.evaluation.labels import load_questions, load_tickets
from workshop_lib.evaluation.metrics import auroc, ece, reliability, wilson
from workshop_lib.evaluation.recorded import recorded
from workshop_lib.lab import open_lab
from workshop_lib.llm import InvalidAnswer
from workshop_lib.tasks import QUESTIONS, TRIAGE

lab = open_lab("02_confidence", seed=SEED)
HERE = lab.settings.backend  # where the numbers of your own calls come from

# %% id="helpers"
def who(tier):
    named = tier[0].upper() + tier[1:]
    return f"stand-in for {named}" if HERE == "sandbox" else named


def share(part, whole):
    return f"{part} of {whole} ({part / whole:.0%})" if whole else "0 of 0"

# %% [markdown] id="win"
# ## The result first
#
# Nano's stand-in sorts the *calibration* tickets into categories. The course's labelled tickets are split in two: the
# *calibration* split is for studying a model and setting thresholds, the *test* split stays shut until lab 05, so that the final
# figures are not tuned. With each answer it states a confidence from 0 to 1. Do the sure answers turn out right?

# %% id="win-figure"
labelled = load_tickets("calibration")[:TICKETS]
# run_arm asks Nano alone about every ticket and keeps what happened; frame makes a table of that, one row a ticket.
routed = frame(run_arm(TRIAGE, [entry.ticket for entry in labelled], single("nano"), lab.ask), labelled)
tickets = routed[routed["outcome"] == "answered"]  # an invalid reply states no confidence
bars = reliability(tickets["confidence"], tickets["correct"], BINS)
reliability_figure(bars, f"Tickets, {who('nano')}: how sure, how right", HERE)

# %% [markdown] id="win-read"
# This is a **reliability diagram**. Each bar holds the answers with about the same stated confidence. Its height is the share
# that was right, its `n` how many they are; where there is an `n` and no bar, none was right. A bar that ends below the dashed
# line claims too much.
#
# The black line is a 95 % interval (Wilson's): the true share may well lie anywhere along it. In the tables of this lab `low` and
# `high` are its two ends. Three answers (`n=3`) tell you little.
#
# *Right* means here: the same category as the label. Now take it apart: what was asked, what came back, what may count as an
# answer.

# %% [markdown] id="instructor-win" tags=["instructor"]
# minutes: 1
# section: The result first
# show: The figure. The dashed line first, then one bar in words.
# say: "Of the answers that said about this much, that many were right." One sentence, and everybody can read the rest of the lab.
# ask: Which bar would you bet on? And how long is its black line?

# %% [markdown] id="asking"
# ## Asking for a number
#
# Questions are simpler than tickets, so begin there. The rating is not measured inside the model. You ask for it in the prompt,
# and the model writes it as it writes everything else.

# %% id="asking-one"
asked = load_questions("calibration")[:LIMIT]
first = asked[0].question
print(QUESTIONS.request(first).system)
print("\nQuestion:", first.question)
reply = lab.ask("nano", QUESTIONS.request(first))
print("Reply:   ", reply.text)
print(f"Ended with {reply.stop_reason}, {reply.cost.usd:.8f} USD ({reply.source})")

# %% [markdown] id="gallery"
# ## What may come back
#
# The prompt says "JSON only" and "1 to 5", and models do not always comply. Here are replies of the kinds that models write, made
# up for this lab. Which of them would you let through? Decide for each line before you go on.

# %% id="gallery-list"
GALLERY = {
    "as asked": '{"answer": "Uranus", "confidence": 4}',
    "zero": '{"answer": "Uranus", "confidence": 0}',
    "six": '{"answer": "Uranus", "confidence": 6}',
    "a word": '{"answer": "Uranus", "confidence": "high"}',
    "no rating": '{"answer": "Uranus"}',
    "no answer": '{"confidence": 5}',
    "two objects": '{"answer": "Neptune", "confidence": 2} {"answer": "Uranus", "confidence": 5}',
    "cut off": '{"answer": "Uranus", "confid',
    "in prose": 'Sure! {"answer": "Uranus", "confidence": 4}',
}
for name, text in GALLERY.items():
    print(f"{name:12} {text}")

# %% [markdown] id="instructor-validate" tags=["instructor"]
# minutes: 1
# section: What may come back
# show: The gallery, line by line.
# say: The tempting mistake is to be helpful. Clamping 6 to 5 looks kind, and it turns garbage into "certain".
# ask: (To unlock Exercise 1) Which is shorter to write down, everything that is wrong, or the five values that are right?
# say: You order five pizzas, two arrive burnt, all are on the bill. Refused replies are charged like that (Exercise 7, for those
#   who are early).
# cut: Go through the gallery by show of hands, then run the solution.

# %% [markdown] id="ex1-header"
# ## Exercise 1 · 5 minutes · core · A strict validator
#
# Write `valid_answer(text)`. If the text is **one JSON object and nothing else**, with an `answer` and a `confidence` of 1, 2, 3,
# 4 or 5, return the object as a dictionary. Else return `None`. It must not raise, whatever the model wrote, and it must not
# repair anything. Stuck? `lab.hint("ex1")` helps, here and in every exercise.

# %% id="ex1" tags=["exercise"]
def valid_answer(text):
    """Return the answer object a reply consists of, or None if the reply is not valid."""
    # <solution>
    try:
        fields = json.loads(text)
    except ValueError:
        return None
    if not isinstance(fields, dict) or "answer" not in fields:
        return None
    rating = fields.get("confidence")
    return fields if type(rating) is int and 1 <= rating <= 5 else None
    # </solution>

# %% id="ex1-check"
valid_answer = lab.check("ex1", valid_answer)

# %% [markdown] id="ex1-why" tags=["solution-only"]
# **Why not repair it: 6 becomes 5, a missing rating becomes 3?** Because the cascade then acts on a number that you made up. A
# refused reply costs one escalation; an invented rating can keep a wrong answer. **Why not take the first object?** The reply
# says two things, and you cannot know which one it means. **Why ask for the type?** Python says `True == 1`, so without it the
# rating `true` would pass as a 1.

# %% id="questions-run"
traces = run_arm(QUESTIONS, [entry.question for entry in asked], single("nano"), lab.ask)
# A trace holds the calls made for one question. Here that is one step, whose reply is None if the call failed.
replies = [trace.steps[0].reply for trace in traces if trace.steps[0].reply is not None]
pairs = [(reply.cost.usd, valid_answer(reply.text)) for reply in replies]

refused = [reply.text for reply, (_, answer) in zip(replies, pairs) if answer is None]
print(f"Valid by your rule: {share(len(pairs) - len(refused), len(pairs))} ({HERE})")
print(f"The bill: {sum(usd for usd, _ in pairs):.8f} USD, the refused included ({HERE})")
for text in refused[:3]:
    print("refused:", text)

# %% [markdown] id="five"
# ## Is a 5 worth more than a 3?
#
# Now the question of this lab. Grade the answers that the library's validator accepts; it works like yours, but also finds an
# object inside prose.
#
# **Predict.** Of the answers that rate themselves 5 ("certain"), what percentage is right? Write a number over the first dots; up
# to 10 away counts as right. Write over the second dots how sure you are of that, from 0 to 1. At the end of the lab *your*
# confidence is tested.

# %% id="five-guess"
lab.predict("right at five", ..., within=10, confidence=...)

# %% id="five-table"
graded = frame(traces, asked)
questions = graded[graded["outcome"] == "answered"]
rows = []
for rating, group in questions.groupby("confidence"):
    n, right = len(group), int(group["correct"].sum())
    low, high = wilson(right, n)
    rows.append({"confidence": int(rating), "n": n, "right": right, "share_right": right / n, "low": low, "high": high})
by_rating = pd.DataFrame(rows)
print(f"{len(questions)} questions, {who('nano')} ({HERE})")
print(text_table(by_rating, {"right": 0}))
top = by_rating.iloc[-1]
print(f"Of the answers rated {top['confidence']:.0f}: {share(int(top['right']), int(top['n']))} right. ({HERE})")
lab.score("right at five", round(100 * top["share_right"]), unit="%")

# %% [markdown] id="scale"
# To compare a rating with a share, both need one scale. The prompt says 5 is certain and 1 is no idea, so read 5 as 1.0, 1 as
# 0.0, and the rest evenly between: `(c - 1) / 4`. This mapping is **our choice**.

# %% [markdown] id="instructor-reliability" tags=["instructor"]
# minutes: 2
# half: 1
# told: ex3
# section: Is a 5 worth more than a 3?
# say: Read one row aloud as a bet. "It said this, and it won that often."
# show: The table. After Exercise 2, the same numbers as a figure.
# ask: (To unlock Exercise 2) Draw five boxes on the board. Into which box goes 1.0? And what do you write under an empty box?
# ask: (To unlock Exercise 3) One thermometer shows 5 degrees too much, another 5 too little. Is their mean error zero?
# cut: Skip the figure; the table holds the same numbers.

# %% [markdown] id="ex2-header"
# ## Exercise 2 · 5 minutes · core · Reliability bins
#
# Write `reliability_rows(confidence, correct, bins)`. Cut 0 to 1 into `bins` equal bins. For each bin that holds answers, lowest
# first, add one row: `(answers, mean confidence, share right)`.
#
# Bin `k` goes from `k / bins` to `(k + 1) / bins`. It holds its **upper** edge and not its lower one. The first bin holds 0 as
# well. `correct` is a list of `True` and `False`.

# %% id="ex2" tags=["exercise"]
def reliability_rows(confidence, correct, bins):
    """Return (answers, mean confidence, share right) for each bin that holds an answer."""
    pairs = list(zip(confidence, correct))
    rows = []
    # <solution>
    for k in range(bins):
        low, high = k / bins, (k + 1) / bins
        inside = [(c, right) for c, right in pairs if low < c <= high or (k == 0 and c == 0)]
        if inside:
            n = len(inside)
            rows.append((n, sum(c for c, _ in inside) / n, sum(right for _, right in inside) / n))
    return rows
    # </solution>

# %% id="ex2-check"
reliability_rows = lab.check("ex2", reliability_rows)

# %% [markdown] id="ex2-why" tags=["solution-only"]
# **Why not `int(c * bins)`?** For 1.0 it gives a bin that does not exist, and models love to say 1.0. **Why not the middle of the
# bin?** If all answers in the bin from 0.9 to 1.0 say 0.99, the middle, 0.95, flatters them.

# %% id="ex2-use"
stated = ((questions["confidence"] - 1) / 4).tolist()
right = questions["correct"].tolist()
rows = reliability_rows(stated, right, 5)
print(text_table(pd.DataFrame(rows, columns=["answers", "mean_confidence", "share_right"])))
theirs = [(row.n, row.mean_confidence, row.accuracy) for row in reliability(stated, right, 5)]
same = len(rows) == len(theirs) and all(math.isclose(a, b) for mine, row in zip(rows, theirs) for a, b in zip(mine, row))
print(f"{'The same' if same else 'Not the same'} as the library's table. ({HERE})")
reliability_figure(reliability(stated, right, 5), f"Questions, {who('nano')}: how sure, how right", HERE)

# %% [markdown] id="ex3-header"
# ## Exercise 3 · 3 minutes · core · Calibration error by hand
#
# One number for the whole table, the **expected calibration error** (ECE): the gap between mean confidence and share right in
# each bin, without its sign, averaged over all **answers**. A bin with more answers weighs more.
#
# Write `calibration_error(rows)`, with rows as your Exercise 2 returns them.

# %% id="ex3" tags=["exercise"]
def calibration_error(rows):
    """Return the mean gap between confidence and share right, weighted by the answers in each bin."""
    # <solution>
    total = sum(n for n, _, _ in rows)
    return sum(n * abs(right - claimed) for n, claimed, right in rows) / total
    # </solution>

# %% id="ex3-check"
calibration_error = lab.check("ex3", calibration_error)

# %% [markdown] id="ex3-why" tags=["solution-only"]
# **Why not let the signs stand?** A model that says too much when sure and too little when unsure would come out perfect. **Why
# weigh by answers?** Else one odd answer in a bin of its own counts as much as fifty.

# %% id="ex3-use"
error = calibration_error(rows)
same = math.isclose(error, ece(stated, right, 5))
claimed, truly = sum(stated) / len(stated), sum(right) / len(right)
print(f"ECE {error:.3f}, {'the same' if same else 'not the same'} as the library's. ({HERE})")
verdict = "too much" if claimed > truly else "too little" if claimed < truly else "just enough"
print(f"Mean confidence {claimed:.2f}, share right {truly:.2f}: on average it says {verdict}. ({HERE})")

# %% [markdown] id="ranking"
# ## Calibration and order
#
# The calibration error is one number. A second one: pick a right and a wrong answer at random. How often is the right one the
# surer of the two? Ties count half. That is the **AUROC** (area under the ROC curve). 1.0 means that a threshold can part them
# cleanly, 0.5 is a coin.
#
# **Predict.** Ratings can be put on a scale in many ways. Three of them are compared below. Is their AUROC the same, "yes" or
# "no"?

# %% id="ranking-guess"
lab.predict("order stays the same", ..., among=("yes", "no"), confidence=...)

# %% [markdown] id="ranking-change"
# **Change it.** `mine` maps the ratings 1 to 5 to five numbers. Put your own reading of "fairly sure" there.

# %% id="ranking-mappings"
MAPPINGS = {
    "(c - 1) / 4": lambda c: (c - 1) / 4,
    "c / 5": lambda c: c / 5,
    "mine": lambda c: (0, 0.1, 0.4, 0.6, 0.8)[int(c) - 1],
}
orders = set()
for name, mapping in MAPPINGS.items():
    values = [mapping(c) for c in questions["confidence"]]
    orders.add(round(auroc(values, right), 6))
    print(f"{name:12}  ECE {ece(values, right, 5):.3f}  AUROC {auroc(values, right):.3f}  ({HERE})")
lab.score("order stays the same", "yes" if len(orders) == 1 else "no")

# %% [markdown] id="ranking-read"
# The ECE follows the mapping: it measures what the number *says*, and another mapping can repair that (*recalibration*). The
# AUROC is the same under any mapping that rises with the rating: it measures the *order*, and such a mapping cannot repair it.
#
# A cascade needs the order. It asks: are the errors among the unsure?

# %% [markdown] id="instructor-ranking" tags=["instructor"]
# minutes: 1
# section: Calibration and order
# show: The three lines, ECE and AUROC. Collect the predictions about the AUROC first.
# say: A clock that is ten minutes fast is badly calibrated and still useful. A clock with random hands is not.
# ask: Which of the two numbers can you mend without touching the model?
# cut: Skip the mappings, say the sentence about the clock, and go on to the recorded models.

# %% [markdown] id="tickets"
# ## Back to the tickets
#
# The questions and the tickets of the first figure, side by side as numbers. The tickets' scale is 0 to 1 already. `distinct`
# counts how many different values the model states.

# %% id="tickets-signal"
def signal(name, confidence, correct, bins, source):
    row = {"what": name, "n": len(correct), "distinct": pd.Series(list(confidence)).nunique()}
    row |= {"mean_confidence": sum(confidence) / len(correct), "share_right": sum(correct) / len(correct)}
    return row | {"ece": ece(confidence, correct, bins), "auroc": auroc(confidence, correct), "source": source}


signals = [
    signal(f"questions, {who('nano')}", stated, right, 5, HERE),
    signal(f"tickets, {who('nano')}", tickets["confidence"], tickets["correct"], BINS, HERE),
]
print(text_table(pd.DataFrame(signals)))
both = tickets["correct"] & (tickets["priority"] == tickets["gold_priority"])
print(f"\nLeft out, no valid answer: questions {len(graded) - len(questions)}, tickets {len(routed) - len(tickets)} ({HERE})")
print(
    f"Right by category: {share(int(tickets['correct'].sum()), len(tickets))}; "
    f"by category and priority: {share(int(both.sum()), len(tickets))} ({HERE})"
)

# %% [markdown] id="tickets-read"
# Read the last line. The prompt asks how likely category **and** priority are both right. We grade the category alone, which is
# easier. Whoever reports a calibration must say what counted as right.
#
# Stand-ins show you how to measure. For an answer you need replies of real models.

# %% [markdown] id="calibrate"
# ## Mend what it says
#
# A **calibration map** turns the stated confidence into the share of such answers that are right. It is fitted to labelled
# answers. Two kinds: **Platt's** is an S-curve with two numbers. **Isotonic** is any curve that never falls; it needs more
# answers.
#
# The next cell fits an isotonic map to the tickets and measures the calibration error again. Read the second number and be
# suspicious.

# %% id="calibrate-fit"
from workshop_lib.evaluation.calibration import fit_isotonic, fit_platt


def fitted(method, pairs):
    """Return a map, fitted to pairs (confidence, right), as a function of the stated confidence."""
    said, was_right = [c for c, _ in pairs], [bool(right) for _, right in pairs]
    return method(said, was_right).apply if len(set(was_right)) == 2 else lambda c: c  # nothing to learn: leave it as it is


def error_of(pairs):
    return ece([c for c, _ in pairs], [right for _, right in pairs], BINS)


MAPS = {"Platt": lambda pairs: fitted(fit_platt, pairs), "isotonic": lambda pairs: fitted(fit_isotonic, pairs)}
everything = list(zip(tickets["confidence"], tickets["correct"]))
best = MAPS["isotonic"](everything)
print(
    f"ECE of {len(tickets)} tickets: {error_of(everything):.3f} stated, "
    f"{error_of([(best(c), right) for c, right in everything]):.3f} mapped. ({HERE})"
)

# %% [markdown] id="instructor-calibrate" tags=["instructor"]
# minutes: 1
# told: ex4
# section: Mend what it says
# show: The one line of output, both numbers.
# say: The second number is perfect, and it is worthless. Who sees why?
# ask: (To unlock Exercise 4) A teacher hands out the exam with the answers, then praises the marks. What would you change?

# %% [markdown] id="ex4-header"
# ## Exercise 4 · 4 minutes · core · Judge a map where it was not fitted
#
# The map was judged on the tickets it was fitted to. So *split* them: fit on one part, judge on the other. Tickets of one
# **family** tell of the same scenario in other words. If such near-duplicates stand in both parts, the map has seen what it is
# judged on. So whole families go to one part.
#
# Write `honest_errors(answers, fit, error)`. Answers are `(family, confidence, right)`. Fit on the families in `chosen`. Return
# two numbers: the error **before** and **after**, both measured on the families that are **not** chosen.
#
# `fit(pairs)` takes pairs `(confidence, right)` and returns the map, a function of one confidence. `error(pairs)` returns a
# number.

# %% id="ex4" tags=["exercise"]
def honest_errors(answers, fit, error):
    """Return the error before and after the map, on the families it was not fitted on."""
    chosen = set(sorted({family for family, _, _ in answers})[::2])  # every second family
    seen = [(c, right) for family, c, right in answers if family in chosen]
    # <solution>
    unseen = [(c, right) for family, c, right in answers if family not in chosen]
    calibrated = fit(seen)
    return error(unseen), error([(calibrated(c), right) for c, right in unseen])
    # </solution>

# %% id="ex4-check"
honest_errors = lab.check("ex4", honest_errors)

# %% [markdown] id="ex4-why" tags=["solution-only"]
# **Why not split by ticket?** Then a near-duplicate of most tickets stands on the other side, and the map is judged on what it
# knows. **Why not measure "before" on all tickets?** Then the two numbers differ because the tickets differ, and you cannot tell
# what the map did.

# %% id="ex4-use"
graded_tickets = list(zip(tickets["family"], tickets["confidence"], tickets["correct"]))
rows = []
for name, fit in MAPS.items():
    before, after = honest_errors(graded_tickets, fit, error_of)
    own = fit(everything)
    leaked = error_of([(own(c), right) for c, right in everything])
    rows.append({"map": name, "ece_before": before, "ece_after": after, "judged_where_fitted": leaked})
print(text_table(pd.DataFrame(rows)))
print(f"Tickets, {who('nano')} ({HERE})")

# %% [markdown] id="calibrate-limit"
# The last column grades the maps on what they have seen; only the two before it are honest. (`ece_before` is not the first number of
# the cell before the exercise: it is measured on the unseen half alone.) Here is Platt's map on that half. A mark below the dashed
# line claims too much, one above it too little.

# %% id="calibrate-figure"
from workshop_lib.evaluation.figures import calibration_figure


def halves(arm):
    families = sorted(arm["family"].unique())
    mine = arm["family"].isin(families[::2])
    return arm[mine], arm[~mine]


seen, unseen = halves(tickets)
platt = MAPS["Platt"](list(zip(seen["confidence"], seen["correct"])))
mapped = [platt(c) for c in unseen["confidence"]]
before, after = (reliability(values, unseen["correct"], BINS) for values in (unseen["confidence"], mapped))
calibration_figure(before, after, HERE, f"Tickets, {who('nano')}: before and after Platt's map")

# %% [markdown] id="calibrate-read"
# What is left of the gap is chance, and scenarios that the map has not seen: a map belongs to its traffic.
#
# Neither kind of map puts a less sure answer above a surer one; at most it ties the two. So a threshold on the mapped confidence
# catches no error that a threshold on the stated one could not (*Going further* counts them). **Calibration says where a
# threshold stands. It adds no signal.**

# %% [markdown] id="real"
# ## What the real models said
#
# The recording holds what Nemotron Nano and Claude Sonnet answered to 150 tickets on Amazon Bedrock on 2026-08-31, with labels
# that people reviewed. Right means again: the same category. The policy documented with the recording escalates below 0.7.
#
# **Predict.** How many percent of Nano's errors lie below 0.7?

# %% id="real-guess"
lab.predict("errors below 0.7", ..., within=10, confidence=...)

# %% id="real-values"
from workshop_lib.evaluation.recorded import recorded_arms

real = recorded_arms()
nano = real["nano"]
values = nano.groupby("confidence").agg(answers=("correct", "size"), right=("correct", "sum")).reset_index()
values["wrong"] = values["answers"] - values["right"]
print("Nano, 150 tickets (recorded)")
print(text_table(values, {"confidence": 2, "right": 0}))
errors, low = int(values["wrong"].sum()), nano["confidence"] < 0.7
usual = values.sort_values("answers").iloc[-1]
caught = int((low & ~nano["correct"]).sum())
print(f"Errors: {errors} of {len(nano)}. Below 0.7: {caught} of them, and {int(low.sum())} answers at all.")
lab.score("errors below 0.7", round(100 * caught / errors), unit="%")
print(
    f"It says {usual['confidence']:.2f} to {usual['answers']:.0f} of "
    f"{len(nano)} tickets, and {usual['wrong']:.0f} of those are wrong."
)
bars = reliability(nano["confidence"], nano["correct"], 10)
reliability_figure(bars, "Tickets, Nemotron Nano: how sure, how right", "recorded")

# %% id="real-signal"
sonnet = real["sonnet"]
for name, arm in (("Nemotron Nano", nano), ("Claude Sonnet", sonnet)):
    signals.append(signal(f"tickets, {name}", arm["confidence"], arm["correct"], 10, "recorded"))
compared = pd.DataFrame(signals)
print(text_table(compared))
print()
calibrated, ordered = compared.loc[1:2, "ece"].idxmin(), compared.loc[1:2, "auroc"].idxmax()
print(f"{compared.loc[1, 'what']}, against {compared.loc[2, 'what']}:")
print("  smaller calibration error:", compared.loc[calibrated, "what"])
print("  better order (AUROC):     ", compared.loc[ordered, "what"])
worth = compared.loc[2, "auroc"]
print(
    f"Recorded Nano, {worth:.2f}: of a right and a wrong answer, "
    f"the {'wrong' if worth < 0.5 else 'right'} one is more often the surer."
)

# %% [markdown] id="real-read"
# A small calibration error says little if nearly all answers state the same value: a constant near the share right scores well,
# and parts nothing. What a threshold can do depends on the order alone, and a mean confidence does not show it.

# %% [markdown] id="instructor-real" tags=["instructor"]
# minutes: 2
# half: 1
# section: What the real models said
# say: Everybody writes down a prediction before the next cell runs. Then read out the line about 0.7 and wait.
# show: The six values, then the last column but one of the comparison, auroc.
# ask: Your dashboard says "mean confidence 0.94". What do you know now? (Only how the model talks.)
# ask: (To unlock Exercise 5) I escalate all 150 tickets. How many errors do I catch, and why is that not clever?
# cut: Skip the six values; read out the line about 0.7.

# %% [markdown] id="ex5-header"
# ## Exercise 5 · 3 minutes · core · What a threshold catches
#
# Write `at_threshold(confidence, correct, threshold)`. Answers **below** the threshold escalate. Return two counts: the **errors
# caught**, which are wrong answers that escalate, and the **escalations** altogether.

# %% id="ex5" tags=["exercise"]
def at_threshold(confidence, correct, threshold):
    """Return how many wrong answers lie below the threshold, and how many answers do."""
    # <solution>
    below = [right for c, right in zip(confidence, correct) if c < threshold]
    return sum(not right for right in below), len(below)
    # </solution>

# %% id="ex5-check"
at_threshold = lab.check("ex5", at_threshold)

# %% [markdown] id="ex5-why" tags=["solution-only"]
# **Why not count every escalation as a catch?** Then "escalate everything" would look like the best gate of all. **Why `<`?** The
# rule keeps an answer exactly at the threshold. Where a model uses few values, `<=` can move most of its answers at once.

# %% [markdown] id="sweep"
# **Change it.** Put other numbers in place of `THRESHOLD`. Then read the table: a row for each value that the recorded Nano
# states, and a last one above all of them. `by_chance` is what as many escalations catch on average if you pick them blindly.

# %% id="sweep-one"
threshold = THRESHOLD
for name, arm, source in ((who("nano"), tickets, HERE), ("Nemotron Nano", nano, "recorded")):
    caught, escalated = at_threshold(arm["confidence"], arm["correct"], threshold)
    wrong = int((~arm["correct"]).sum())
    print(
        f"below {threshold:g}: {share(caught, wrong)} errors caught for "
        f"{share(escalated, len(arm))} escalations: {name} ({source})"
    )

# %% id="sweep-table"
def sweep(arm):
    wrong, rows = int((~arm["correct"]).sum()), []
    for threshold in (*sorted(arm["confidence"].unique()), 1.01):
        caught, escalated = at_threshold(arm["confidence"], arm["correct"], threshold)
        by_chance = wrong * escalated / len(arm)
        rows.append({"threshold": threshold, "escalated": escalated, "errors_caught": caught, "by_chance": by_chance})
    return pd.DataFrame(rows)


print(f"Nano, {len(nano)} tickets, {errors} errors (recorded)")
print(text_table(sweep(nano), {"threshold": 2, "by_chance": 1}))
below = sweep(nano).query("0 < escalated < @nano.shape[0]")
print(
    f"Better than by chance: {int((below['errors_caught'] > below['by_chance']).sum())} "
    f"of {len(below)} thresholds that escalate some and not all."
)

# %% id="sweep-figure"
from workshop_lib.evaluation.figures import COLOURS, MARKERS, figure

curves = {f"{who('nano')} ({HERE})": sweep(tickets), "Nemotron Nano (recorded)": sweep(nano)}
curves |= {"Claude Sonnet (recorded)": sweep(sonnet)}


def draw(axes):
    axes.plot([0, 1], [0, 1], color="#595959", linestyle="--", linewidth=1, label="by chance")
    for place, (name, curve) in enumerate(curves.items()):
        across, up = (curve[column] / max(curve[column].iloc[-1], 1) for column in ("escalated", "errors_caught"))
        axes.plot(across, up, marker=MARKERS[place], color=COLOURS[place], markersize=5, label=name)
    axes.legend(loc="lower right", fontsize=8)
    axes.set(xlabel="share of answers escalated", ylabel="share of errors caught")


ends = [f"{curve['errors_caught'].iloc[-1]} errors in {curve['escalated'].iloc[-1]}, {name}" for name, curve in curves.items()]
caption = f"{'; '.join(ends)}. Above the dashed line a threshold beats chance, below it chance is better."
figure(draw, title="What a threshold buys", caption=caption)

# %% [markdown] id="sweep-read"
# Read the curves from left to right: you raise the threshold and pay with escalations. A useful signal runs well above the dashed
# line. Along it you may as well throw dice, below it dice are better. The recorded Sonnet's few errors all state the same
# confidence, so its curve rises in one step.

# %% [markdown] id="instructor-threshold" tags=["instructor"]
# minutes: 1
# section: What a threshold catches
# say: The dashed line is a gate that costs nothing to build. Any gate you pay for has to beat it.
# show: The figure, one curve after the other.
# ask: Where on these curves would you stop, and what does the next step to the right cost?

# %% [markdown] id="promise"
# ## A promise about what you keep
#
# Whoever runs the cascade wants a sentence like this: *of the answers we accept, at most 10 % are wrong, and we are 95 % sure of
# it*. The first number is **epsilon**, the error you tolerate. What is left of the second, 5 %, is **delta**, the doubt you
# leave.
#
# Begin with the best case: you label some accepted answers, and all are right. That may be luck: a model that is wrong in exactly
# epsilon of all cases has such runs too.
#
# **Predict.** How many right ones in a row let you promise *at most 5 % wrong, 95 % sure*? Up to 10 away counts as right.

# %% id="promise-guess"
lab.predict("right ones needed", ..., within=10, confidence=...)

# %% [markdown] id="ex6-header"
# ## Exercise 6 · 3 minutes · core · Before you may promise anything
#
# Write `answers_needed(epsilon, delta)`: the smallest number of answers `m`, such that a model that is wrong in exactly `epsilon`
# of all cases gets `m` in a row right with a chance of **at most** `delta`. A whole number; answers count as independent.

# %% id="ex6" tags=["exercise"]
def answers_needed(epsilon, delta):
    """Return how many answers without an error show an error of at most epsilon, but for a doubt of delta."""
    # <solution>
    m = 1
    while (1 - epsilon) ** m > delta:
        m += 1
    return m
    # </solution>

# %% id="ex6-check"
answers_needed = lab.check("ex6", answers_needed)

# %% [markdown] id="ex6-why" tags=["solution-only"]
# **Why not `1 / epsilon`?** Of 20 answers of a model that is wrong once in 20, all are right in more than a third of all tries.
# **Why not round down?** Then the doubt is still above delta. In closed form: `ceil(log(delta) / log(1 - epsilon))`; for 95 %
# about `3 / epsilon`, the *rule of three*.

# %% id="ex6-use"
for tolerated in (0.2, 0.1, 0.05, 0.02, 0.01):
    print(
        f"at most {tolerated:3.0%} wrong, 95% sure: "
        f"{answers_needed(tolerated, 0.05):3} accepted answers, none of them wrong (computed)"
    )
lab.score("right ones needed", answers_needed(0.05, 0.05))

# %% [markdown] id="guarantee"
# With errors among the accepted you need more. The **Clopper-Pearson bound** is the largest error rate at which so few errors
# still turn up with a chance of delta. You may promise epsilon if the bound is at most epsilon.
#
# And a threshold has to be picked. If you try many and take the one that looks best, luck picks (*Going further* counts how often
# that breaks the promise). So fix the order beforehand, from strict to lax. Begin where enough answers are accepted (Exercise 6),
# test each threshold, and **stop at the first that fails** (*fixed sequence*). Then many tests cost no more than one, and delta
# holds for the threshold you end with.

# %% id="guarantee-run"
from workshop_lib.evaluation.intervals import clopper_pearson_upper
from workshop_lib.evaluation.thresholds import empirical_threshold, guaranteed_threshold, labels_needed

arms = ((who("nano"), tickets, HERE), ("Nemotron Nano", nano, "recorded"), ("Claude Sonnet", sonnet, "recorded"))
for name, arm, source in arms:
    naive = empirical_threshold(arm["confidence"], arm["correct"], epsilon=EPSILON)
    print(f"{name} ({source}), {len(arm)} tickets in {arm['family'].nunique()} families")
    found = "nothing passes" if naive is None else f"from {naive:g} on at most {EPSILON:.0%} were wrong in this sample"
    print("  naive:     ", found)
    print("  guaranteed:", guaranteed_threshold(arm["confidence"], arm["correct"], epsilon=EPSILON, delta=DELTA).sentence)
    wrong = int((~arm["correct"]).sum())
    print(f"  accept all: {wrong} of {len(arm)} wrong, so at most {clopper_pearson_upper(wrong, len(arm), 0.05):.1%}, 95% sure")
print(f"\nStricter, at most 2 % wrong, {who('nano')} ({HERE}):")
print(" ", guaranteed_threshold(tickets["confidence"], tickets["correct"], epsilon=0.02, delta=DELTA).sentence)

# %% [markdown] id="guarantee-read"
# No threshold on the recorded Nano can be shown to hold 10 %. What can be promised of it, decided beforehand: accept everything,
# about a quarter wrong at most. Being stricter makes that **worse**, because its order points the wrong way.
#
# Recorded Sonnet was wrong on 9 of 150, 6 %. Even so the promise of 10 % holds from 0.95 on only: 9 errors in 150 may still be
# 10.2 %. All bounds count tickets as independent. Many of these are near-duplicates, so the bounds are too good.

# %% [markdown] id="explorer-read"
# **Change it.** One threshold moves three things at once. Below it the recorded Nano's tickets go on to Sonnet: watch the bill,
# the right answers, and the bound on the error of the kept ones. Then answer the question that the explorer asks.

# %% id="explorer"
from workshop_lib.lab.interactive import threshold_explorer

threshold_explorer(nano, sonnet, split="recorded", threshold=0.95, epsilon=EPSILON, delta=DELTA)

# %% [markdown] id="explorer-why" tags=["solution-only"]
# **An answer.** Tolerate a quarter: thresholds up to 0.8 have a bound below it. You may not promise one of them now, because you
# looked at all and took what suits. The line "Promise" did not look: it began at 0.95, as fixed beforehand, met a bound above a
# quarter and stopped. The promise you can make is one that you decide on before you see these labels.

# %% [markdown] id="instructor-promise" tags=["instructor"]
# minutes: 2
# half: 1
# told: ex6
# section: A promise about what you keep
# say: A promise has two numbers, how wrong and how sure. A vendor who gives you one has not promised anything.
# ask: (To unlock Exercise 6) A coin shows heads five times. Are you sure that it has no tails? After how many throws would you
#   be?
# show: The lines "naive" and "guaranteed" for recorded Sonnet, then the explorer at 0.95.
# cut: Leave out the explorer; read out the lines for recorded Sonnet only.

# %% [markdown] id="mine"
# ## And how sure were you?
#
# You stated a confidence with your predictions, in this lab and in lab 01. So the first figure of this lab can be drawn of
# **you**. What came true counts as right, and your own `calibration_error` measures the gap.

# %% id="mine-figure"
mine = lab.my_calibration()
if mine:
    reliability_figure(mine, "You: how sure, how right", "your predictions").show()
    print(
        "Your calibration error: "
        f"{calibration_error([(row.n, row.mean_confidence, row.accuracy) for row in mine]):.3f} (your predictions)"
    )

# %% [markdown] id="mine-read"
# Look at the black lines before you blame or praise yourself: a handful of predictions shows as little about you as about a
# model. Each further lab adds some; run this cell again then.
#
# And what the calls of this lab would have cost live, as far as stand-ins can tell:

# %% id="meter"
lab.meter()

# %% [markdown] id="instructor-mine" tags=["instructor"]
# minutes: 1
# section: And how sure were you?
# show: Your own curve, from predictions made in this room.
# ask: Hands up if you were right less often than you said. And who never went below 0.8?
# say: You had minutes to think and still missed. A model writes its number in passing.

# %% [markdown] id="takeaways"
# ## What to remember
#
# - A confidence is text that the model wrote. Validate it strictly, never repair it, and charge what you refuse.
# - Calibration asks whether 0.9 means 0.9; a map can mend that, judged where it was not fitted. Ranking asks whether errors are
#   the unsure ones; no map mends it, and a threshold lives on it.
# - On the recorded tickets Nano was rather surer where it was wrong (AUROC 0.38), and a threshold of 0.7 never fired.
# - Compare a threshold with chance, and report it on tickets it was not picked on (*Going further* shows why).
# - A promise names epsilon and delta, and takes labels: 59 without an error for 5 % and 95 % sure.

# %% [markdown] id="recall"
# ## Can you still say it?
#
# <details><summary>1. You labelled 40 accepted answers, all right. May you promise at most 5 % wrong, 95 % sure?</summary>
# No, that takes 59. A model wrong once in 20 has such a run in 13 of 100 tries (`0.95 ** 40`).
# </details>
#
# <details><summary>2. A model always says 0.82 and is right on 82 % of the tickets. Its calibration error, and its use?</summary>
# The error is zero, the use is none: a threshold escalates all answers or no answer (AUROC 0.5).
# </details>
#
# <details><summary>3. (Lab 01) Two tiers report input tokens for the same ticket. Why not use one count for both bills?</summary>
# Every tier counts its own tokens. Take each one's usage from its own replies.
# </details>

# %% [markdown] id="instructor-close" tags=["instructor"]
# minutes: 1
# section: Close
# show: The takeaways.
# say: You now know how to test a signal before you build on it. Next you build on it anyway, and count what that costs.
# ask: The three recall questions, books closed.
# allow: small-models 1.5, 0.84 (the authors' own run, as the cell says)

# %% [markdown] id="going-further"
# ## Going further
#
# This part is not counted in the minutes. Take it now, tomorrow, or not at all.

# %% [markdown] id="library"
# ### What the library lets through
#
# Your validator and the library's, side by side. The library, `QUESTIONS.parse`, first looks for an object, also inside prose or
# a code fence, and then checks its fields with pydantic.

# %% id="library-compare"
def library_answer(text):
    try:
        return QUESTIONS.parse(first, replace(reply, text=text)).model_dump()
    except InvalidAnswer:
        return None


rows = [{"reply": name, "yours": valid_answer(text), "library": library_answer(text)} for name, text in GALLERY.items()]
for row in rows:
    kept = [row[whose] for whose in ("yours", "library")]
    verdicts = ["refused" if one is None else f"{one['answer']}, {one['confidence']}" for one in kept]
    print(f"{row['reply']:12} yours: {verdicts[0]:12} library: {verdicts[1]}")
differ = [row["reply"] for row in rows if (row["yours"] is None) != (row["library"] is None)]
print("They differ on:", ", ".join(differ) or "nothing")

# %% [markdown] id="library-read"
# Be strict about the **fields**: there a wrong value does harm. About the **envelope** you may choose. Tolerance saves replies of
# models that like to chat, and the library still refuses two objects that differ. Whichever you choose, count what you refuse.

# %% [markdown] id="ex7-header"
# ### Exercise 7 · 3 minutes · stretch · Charge the invalid reply
#
# A refused reply used tokens, so it is on the bill. Write `usd_per_answer(replies)`: what one *valid* answer costs. Each reply is
# a pair `(usd, answer)`, and `answer` is `None` if it was refused. If no reply is valid, return `math.inf`.

# %% id="ex7" tags=["exercise"]
def usd_per_answer(replies):
    """Return the USD spent on all replies for each valid answer among them."""
    # <solution>
    spent = sum(usd for usd, _ in replies)
    valid = sum(answer is not None for _, answer in replies)
    return spent / valid if valid else math.inf
    # </solution>

# %% id="ex7-check"
usd_per_answer = lab.check("ex7", usd_per_answer)

# %% [markdown] id="ex7-why" tags=["solution-only"]
# **Why not the mean cost of the valid replies?** Then a model that fails on every second reply looks as cheap as one that never
# fails. **Why `math.inf` and not 0?** A price of 0 would win every comparison.

# %% id="ex7-use"
valid_only = [(usd, answer) for usd, answer in pairs if answer is not None]
print(
    f"{len(pairs)} questions: {usd_per_answer(pairs):.8f} USD a valid answer; "
    f"{usd_per_answer(valid_only):.8f} if you forget the refused. ({HERE})"
)

# %% [markdown] id="cut"
# ### Fewer output tokens, fewer answers
#
# **Predict.** Somebody wants to save output tokens on tickets and cuts `max_tokens` from 300 to 40. Of the sample tickets, how
# many percent of the replies are still valid? And what does a valid answer cost then? Write down the percentage.

# %% id="cut-guess"
lab.predict("still valid", ..., within=10, confidence=...)

# %% id="cut-run"
samples = [entry.ticket for entry in load_tickets("samples")]


def routed_with(max_tokens):
    pairs = []
    for ticket in samples:
        reply = lab.ask("nano", replace(TRIAGE.request(ticket), max_tokens=max_tokens))
        try:
            pairs.append((reply.cost.usd, TRIAGE.parse(ticket, reply)))
        except InvalidAnswer:
            pairs.append((reply.cost.usd, None))
    return pairs


for max_tokens in (300, 40):
    got = routed_with(max_tokens)
    valid, spent = sum(answer is not None for _, answer in got), sum(usd for usd, _ in got)
    bill = f"{spent:.6f} USD in all, {usd_per_answer(got):.6f} USD an answer"
    print(f"max_tokens {max_tokens:3}: valid {share(valid, len(got))}, {bill} ({HERE})")
lab.score("still valid", round(100 * valid / len(got)), unit="%")

# %% [markdown] id="cut-read"
# A reply that was cut in the middle is no cheaper answer. It is no answer, and it is charged. The reason is mechanical: a
# decision needs its tokens, and `stopReason` says `max_tokens` if it did not get them. Look there before you look at the JSON.
# Would the real Nano have managed?

# %% id="cut-recorded"
needed = recorded()["nano_output_tokens"]
print(
    f"Nano's {len(needed)} decisions took {needed.min()} to {needed.max()} "
    f"output tokens; {(needed <= 40).sum()} would fit into 40. (recorded)"
)

# %% [markdown] id="scenarios"
# ### Where the recorded errors come from
#
# The recorded errors are not spread out. The next cell counts the scenarios that they come from.

# %% id="sweep-families"
by_family = (~nano["correct"]).groupby(nano["family"]).agg(["sum", "size"]).sort_values("sum", ascending=False)
worst = by_family.head(2)
print(f"{worst['sum'].sum()} of {errors} errors come from {len(worst)} of {len(by_family)} scenarios (recorded):")
for family, row in worst.iterrows():
    arm = nano[nano["family"] == family]
    print(
        f"  {family}: {row['sum']} of {row['size']} wrong, stated confidence "
        f"{arm['confidence'].min():.2f} to {arm['confidence'].max():.2f}"
    )

# %% [markdown] id="sweep-families-read"
# So the recording holds 150 tickets but far fewer independent cases, and another mix of scenarios could give another curve. It
# shows that a model can behave like this, not that every small model does. Measure your own, on your own tickets.

# %% [markdown] id="map-limit"
# ### What a map cannot do
#
# The same unseen tickets again, with an interval and the AUROC. Take each threshold that you could set on the mapped confidence,
# and note which tickets escalate. `new_escalations` counts those sets of tickets that **no** threshold on the stated confidence
# escalates.
#
# **Predict.** Does a mended confidence escalate anything new, so that `new_escalations` rises above 0, "yes" or "no"?

# %% id="calibrate-guess"
lab.predict("a map escalates others", ..., among=("yes", "no"), confidence=...)

# %% id="calibrate-table"
from workshop_lib.evaluation.calibration import ece_interval


def escalating(values):
    """Return, for every threshold among the values, which answers it escalates."""
    return {tuple(value < threshold for value in values) for threshold in values}


claims = {"stated": unseen["confidence"].tolist()}
for name, fit in MAPS.items():
    calibrated = fit(list(zip(seen["confidence"], seen["correct"])))
    claims[name] = [calibrated(c) for c in claims["stated"]]
rows = []
for name, values in claims.items():
    gap = ece_interval(values, unseen["correct"], unseen["family"], bins=BINS)
    row = {"confidence": name, "ece": gap.value, "low": gap.low, "high": gap.high, "auroc": auroc(values, unseen["correct"])}
    rows.append(row | {"new_escalations": len(escalating(values) - escalating(claims["stated"]))})
print(f"{len(unseen)} unseen tickets in {unseen['family'].nunique()} families, {who('nano')} ({HERE})")
print(text_table(pd.DataFrame(rows)))
lab.score("a map escalates others", "yes" if any(row["new_escalations"] for row in rows) else "no")

# %% [markdown] id="map-limit-read"
# `new_escalations` is 0 whatever the data, because the maps never fall. Isotonic ties neighbours, and the AUROC moves with the
# ties. With so few families even the interval of the ECE is too narrow.

# %% [markdown] id="real-map-why"
# ### A map for recorded Nano
#
# Fit Platt's curve to the recorded Nano, first to all tickets, then to one half of the scenarios at a time. What can it learn?

# %% id="real-map"
level = fit_platt(nano["confidence"], nano["correct"])
print(f"Platt's curve through all {len(nano)}: {level.apply(0.78):.2f} at 0.78, {level.apply(0.96):.2f} at 0.96. (recorded)")
for seen, unseen in (halves(nano), halves(nano)[::-1]):
    print(
        f"Fitted on {len(seen)} tickets with {int((~seen['correct']).sum())} errors, "
        f"judged on {len(unseen)} with {int((~unseen['correct']).sum())} (recorded):"
    )
    judged = list(zip(unseen["confidence"], unseen["correct"]))
    if seen["correct"].nunique() < 2:
        print("  no map: all are right, there is nothing to learn")
        continue
    mapped = MAPS["Platt"](list(zip(seen["confidence"], seen["correct"])))
    print(f"  ECE {error_of(judged):.3f} before, {error_of([(mapped(c), right) for c, right in judged]):.3f} after")

# %% [markdown] id="real-map-read"
# Recorded Nano is no surer when right, so the best curve that never falls is level: one value for all. And in this split all its
# errors lie in one half of the scenarios. Learned there, the map makes the other half worse. Calibrate on the traffic you will
# see.

# %% [markdown] id="word"
# ### How often does the naive choice break its word?
#
# On one sample you cannot see it. So let us make up a model whose true error is known: it states twelve confidences equally
# often, and is right exactly as often as it says. Draw labels, pick a threshold by each rule, and look up the true error. Many
# times.
#
# In the table `broken` is the share of draws in which the rule accepts more wrong answers than tolerated, `no_promise` the share
# in which it finds no threshold. `answers_kept` is the share of answers it accepts, on average.
#
# **Predict.** With 80 labels and 10 % tolerated: in how many percent of the draws does the naive rule accept more than 10 %
# wrong?

# %% id="word-guess"
lab.predict("naive breaks its word", ..., within=10, confidence=...)

# %% id="word-model"
import numpy as np

SAID = np.arange(97, 50, -4) / 100  # 0.97, 0.93, ... 0.53: the thresholds, from strict to lax
TRUE_ERROR = np.cumsum(1 - SAID) / np.arange(1, len(SAID) + 1)  # of the answers that each of them accepts


def drawn(labels, draws, rng):
    """Return the accepted answers and the errors among them, for each draw and each threshold."""
    answers = rng.multinomial(labels, np.full(len(SAID), 1 / len(SAID)), size=draws)
    return answers.cumsum(axis=1), rng.binomial(answers, 1 - SAID).cumsum(axis=1)


def most_lax(passes):
    """Return the position of the last threshold that passes in each draw, or -1."""
    return np.where(passes.any(axis=1), len(SAID) - 1 - passes[:, ::-1].argmax(axis=1), -1)

# %% id="word-run"
rng, rows = np.random.default_rng(SEED), []
for labels in (80, 400, 2000):
    accepted, wrong = drawn(labels, 2000, rng)
    looks_good = (accepted > 0) & (wrong <= EPSILON * accepted)
    enough = accepted >= labels_needed(EPSILON, DELTA)
    holds = (clopper_pearson_upper(wrong, accepted, DELTA) <= EPSILON) | ~enough  # testing begins where there are enough
    proven = np.logical_and.accumulate(holds, axis=1) & enough
    for rule, chosen in (("naive", most_lax(looks_good)), ("guaranteed", most_lax(proven))):
        broken = (chosen >= 0) & (TRUE_ERROR[chosen] > EPSILON + 1e-9)
        shares = {"broken": broken.mean(), "no_promise": (chosen < 0).mean(), "answers_kept": (chosen + 1).mean() / len(SAID)}
        rows.append({"labels": labels, "rule": rule} | shares)
print(f"At most {EPSILON:.0%} wrong, {1 - DELTA:.0%} sure; 2000 draws a row, shares of draws (simulated, a made-up model)")
print(text_table(pd.DataFrame(rows), {"broken": 2, "no_promise": 2, "answers_kept": 2}))
lab.score("naive breaks its word", round(100 * rows[0]["broken"]), unit="%")

# %% [markdown] id="word-read"
# Of several thresholds that are about as good as tolerated, the naive rule takes the one that was lucky in the sample. The
# guaranteed rule breaks its word in at most delta of all draws on average, by construction. It pays with fewer answers kept, and
# with few labels it may promise nothing. That is a result too: it says what to buy, labels.

# %% [markdown] id="kept"
# ### The curve behind a promise
#
# Keep only the surest answers: how many of those are wrong? (Answers that state the same value come in no order, so `share_wrong`
# is an average over all orders, and times `n` it need not be whole.) With a useful confidence the curve rises to the right.
# **Change it:** put `sonnet` in place of `nano`. The naive rule goes right as far as the curve stays below the dashed line. The
# shaded range shows why that is a gamble.

# %% id="kept-figure"
from workshop_lib.evaluation.figures import risk_coverage_figure
from workshop_lib.evaluation.routing_metrics import risk_coverage

curve = risk_coverage(nano["confidence"], nano["correct"])
every_tenth = slice(9, None, 10)
title = "Nemotron Nano: error among the answers kept"
risk_coverage_figure(curve.coverage[every_tenth], curve.risk[every_tenth], len(nano), "recorded", title, EPSILON)

# %% [markdown] id="small-models"
# ### Do other small models do better?
#
# While this course was written (2026-11), three small open-weight instruct models of 135 million to 1.5 billion parameters ran on
# one machine, on 24 tickets and 24 questions. Source: the authors' own run, not stored in this repository and too small for more
# than a hint.
#
# - The AUROC of the stated confidence was 0.37, 0.50 and 0.67, from the smallest to the largest.
# - Each used one or two values of the scale.
# - The **log-probability** that the model gave to the category's name parted right from wrong better: AUROC 0.84 and 0.94 in two
#   measurements.

# %% [markdown] id="signals"
# ### Two signals that nobody has to write
#
# **Self-consistency:** ask the same again, above temperature 0, and count how many draws agree with the first answer. It works on
# every endpoint and is paid by the draw.
#
# **Log-probabilities:** the chance the model gave to each token it wrote. They come with the first reply, for nothing, where a
# server returns them: Converse has no field for them, OpenAI-compatible servers do. They cover text and no tool calls, so
# `in_text` asks for the same JSON in text.

# %% id="signals-one"
from workshop_lib.cascade.logprobs import label_probability
from workshop_lib.tasks.variants import in_text

TEXT = in_text(TRIAGE)


def asked_with(**settings):
    """Return the task with other settings of the request."""
    return replace(TEXT, request=lambda ticket: replace(TEXT.request(ticket), **settings))


reply_8b = lab.ask("nim-8b", asked_with(logprobs=3).request(labelled[0].ticket))
print(reply_8b.text)
for token in reply_8b.logprobs or ():
    if len(token.alternatives) > 1:  # a token that only gives the form, such as a brace, has none
        might = ", ".join(f"{other!r} {math.exp(logprob):.2f}" for other, logprob in token.alternatives)
        print(f"wrote {token.token!r}, likeliest: {might} ({reply_8b.source})")

# %% [markdown] id="signals-bill-read"
# Now all tickets: one call each with log-probabilities, then `DRAWS` more. **Change it:** more draws, or a temperature of 0. At 0
# all draws agree; why is that no sign of being right?

# %% id="signals-run"
DRAWS, TEMPERATURE = 3, 0.7


def asked_of_8b(**settings):
    return run_arm(asked_with(**settings), [entry.ticket for entry in labelled], single("nim-8b"), lab.ask)


once = asked_of_8b(logprobs=1)
draws = [asked_of_8b(temperature=TEMPERATURE, sample=number) for number in range(1, DRAWS + 1)]
eight_b = frame(once, labelled)
ok = [place for place, trace in enumerate(once) if trace.answer is not None]

# %% id="signals-values"
def agreeing(place):
    """Return the share of the draws that say what the first answer says."""
    said = [draw[place].answer for draw in draws]
    return sum(answer is not None and answer.category == once[place].answer.category for answer in said) / DRAWS


def likely(place):
    """Return the chance that the model gave to the category it wrote."""
    return label_probability(once[place].steps[0].reply, "category", once[place].answer.category) or 0


values = {
    "stated": [once[place].answer.confidence for place in ok],
    f"{DRAWS} draws agree": [agreeing(place) for place in ok],
    "log-probability": [likely(place) for place in ok],
}

# %% id="signals-table"
def auroc_range(values, right, families):
    """Return where 95 % of the AUROCs lie if whole families are drawn again and again."""
    rng, values = np.random.default_rng(SEED), np.asarray(values)
    groups = [np.flatnonzero(families == name) for name in np.unique(families)]
    again = [np.concatenate([groups[place] for place in rng.integers(len(groups), size=len(groups))]) for _ in range(200)]
    return np.nanquantile([auroc(values[places], right[places]) for places in again], [0.025, 0.975])


right_8b, families = eight_b["correct"].to_numpy(bool)[ok], eight_b["family"].to_numpy()[ok]
usd_once, usd_drawn = sum(trace.cost.usd for trace in once), sum(trace.cost.usd for draw in draws for trace in draw)
rows = []
for name, value in values.items():
    low, high = auroc_range(value, right_8b, families)
    usd = usd_once + (usd_drawn if "draws" in name else 0)
    row = {"signal": name, "n": len(ok), "distinct": len(set(value)), "auroc": auroc(value, right_8b), "low": low, "high": high}
    rows.append(row | {"usd_per_1000": 1000 * usd / len(once)})
print(text_table(pd.DataFrame(rows), {"usd_per_1000": 4}))
print(f"{share(int(right_8b.sum()), len(ok))} right, {len(set(families))} families, {who('8B on NIM')} ({HERE}; a proxy price)")

# %% [markdown] id="signals-read"
# Read the bill and the widths. In the sandbox the order of the three says nothing: the stand-in draws its labels from the very
# shares that it reports as log-probabilities, so agreement can only be a coarser copy of them. Real models differ: on the small
# ones above, log-probabilities parted right from wrong best.
#
# Agreement finds an answer that wavers. An error that a model makes every time looks perfectly sure. Test either signal as you
# tested the stated confidence: order, threshold, promise, on your own tickets. Lab 03 has gates for both.

# %% [markdown] id="ex8-header"
# ### Exercise 8 · 5 minutes · stretch · Pick a threshold
#
# Write `pick_threshold(tuning, test, candidates, share)`. Both lists hold pairs `(confidence, right)`. Pick the **lowest**
# candidate that catches at least `share` of all errors; 0.5 means half of them, and exactly half is enough. Return three numbers:
# the threshold, and what may be **reported** of it, errors caught and escalations. Which list is for what, you decide.
#
# `candidates` is sorted, and the highest one escalates everything. `test` is a part of these tickets kept aside. The course's own
# test split stays shut until lab 05.

# %% id="ex8" tags=["exercise"]
def caught_at(pairs, threshold):
    """Return the errors caught and the escalations, as in Exercise 5."""
    return at_threshold([c for c, _ in pairs], [right for _, right in pairs], threshold)


def pick_threshold(tuning, test, candidates, share):
    """Return the lowest candidate that catches this share of the errors, and the errors caught and escalations to report."""
    # <solution>
    errors = sum(not right for _, right in tuning)
    threshold = min(t for t in candidates if caught_at(tuning, t)[0] >= share * errors)
    return threshold, *caught_at(test, threshold)
    # </solution>

# %% id="ex8-check"
pick_threshold = lab.check("ex8", pick_threshold)

# %% [markdown] id="ex8-why" tags=["solution-only"]
# **Why not pick on `test`, where you report anyway?** Then the threshold suits these very answers, luck included, and catches
# half of their errors because you chose it so. Of other answers the report says nothing.
#
# **Why not the threshold that escalates half of the answers?** You want half of the errors. Half of the answers holds half of the
# errors only if the gate is no better than dice. **Why not the highest that is enough?** It escalates most.

# %% [markdown] id="half"
# **Predict.** To catch half of the recorded Nano's errors, how many percent of the tickets must go on to Sonnet?

# %% id="half-guess"
lab.predict("escalated for half", ..., within=10, confidence=...)

# %% id="half-price"
def picked(tuning, test, share=0.5):
    candidates = [*sorted(tuning["confidence"].unique().tolist()), 1.01]
    pairs = [list(zip(arm["confidence"].tolist(), arm["correct"].tolist())) for arm in (tuning, test)]
    return pick_threshold(*pairs, candidates, share)


cut, caught, escalated = picked(nano, nano)
up = (nano["confidence"] < cut).to_numpy()
mended = int((~nano["correct"] & sonnet["correct"])[up].sum())
bill = nano["cost_usd"].sum() + sonnet["cost_usd"][up].sum()
print(f"Threshold {cut:.2f} escalates {share(escalated, len(nano))} and catches {share(caught, errors)} errors. (recorded)")
print(f"Sonnet is right on {mended} of the {caught}: an error caught is not yet an error mended. (recorded)")
print(f"Nano and these Sonnet calls: {bill:.2f} USD. Sonnet for all: {sonnet['cost_usd'].sum():.2f} USD. (recorded)")
lab.score("escalated for half", round(100 * escalated / len(nano)), unit="%")

# %% [markdown] id="honest"
# ### Is that number honest?
#
# No. The cell above hands the same tickets over twice, as `tuning` and as `test`, and no function can notice. The threshold
# catches at least half there **because** it was picked there. The question is what it catches on tickets that had no say.
#
# Split the tickets in two by scenario, so that near-duplicates stay together. Pick on one half and measure on the other, both
# ways round.

# %% id="honest-run"
for name, arm, source in ((who("nano"), tickets, HERE), ("Nemotron Nano", nano, "recorded")):
    one, other = halves(arm)
    for seen, unseen in ((one, other), (other, one)):
        results = []
        for part in (seen, unseen):
            cut, caught, escalated = picked(seen, part)
            results.append(f"{caught} of {int((~part['correct']).sum())} errors for {escalated} of {len(part)}")
        print(
            f"{name} ({source}), threshold {cut:.2f}\n  picked on: "
            f"  {results[0]} escalated\n  measured on: {results[1]} escalated"
        )

# %% [markdown] id="honest-read"
# "Picked on" reaches half by construction. Only "measured on" may be reported. Look at how far the two can be apart, and at what
# a half without errors leads to: any threshold looks good where there is nothing to catch.
#
# One remedy is the guaranteed threshold from above: it pays for its picking. Any other rule needs a labelled set for picking and
# another one for reporting, both with enough errors in them. And both need a new look whenever the model or the traffic changes.

# %% [markdown] id="playground"
# ### Playground
#
# Does a larger tier know better when it is wrong? Put `sonnet` in place of `super`, or let it answer the questions. In the
# sandbox it is a stand-in again.

# %% id="playground-run"
tier = "super"
arm = frame(run_arm(TRIAGE, [entry.ticket for entry in labelled], single(tier), lab.ask), labelled)
arm = arm[arm["outcome"] == "answered"]
rows = [signals[1], signal(f"tickets, {who(tier)}", arm["confidence"], arm["correct"], BINS, HERE)]
print(text_table(pd.DataFrame(rows)))
caught, escalated = at_threshold(arm["confidence"], arm["correct"], THRESHOLD)
print(
    f"{who(tier)} at {THRESHOLD:g}: {share(caught, int((~arm['correct']).sum()))} "
    f"errors caught for {share(escalated, len(arm))} escalations ({HERE})"
)

# %% [markdown] id="next"
# ## What next
#
# In lab 03 you build the cascade that acts on this number, charge every tier it asks, and see which rules other than confidence
# can escalate a ticket. Where you stand in this one:

# %% id="progress"
lab.progress()

# %% [markdown] id="next-links"
# Go on with [lab 03, the cascade](../03_cascade/lab.ipynb), or back to the [start page](../../START.ipynb).
