# %% [markdown] id="title"
# # Build a cascade and count what it saves and loses
#
# You build a cascade that asks a cheap model first and an expensive one only when it must, and find out when that pays.
#
# **Time:** 30 minutes alone, 33 minutes in a room. **Cost here:** nothing, the models are stand-ins on this machine.
# **Cost live:** about 0.75 USD on Amazon Bedrock at recorded token counts, nearly all of it Sonnet; NVIDIA NIM prints no token price.
#
# A *cascade* walks a row of tiers, cheapest first. A *gate* either keeps an answer or *escalates*, which means asking the next tier.

# %% [markdown] id="objectives"
# ## What you will be able to do
#
# 1. **Decide** whether an answer is kept or the next tier is asked (Exercise 1).
# 2. **Build** a cascade that charges every tier it asked (Exercise 2).
# 3. **Compute** the escalation rate at which a cascade stops paying (Exercise 3).
# 4. **Write** the escalation rules for support tickets (Exercise 4).
# 5. **Accumulate** a safety flag over all tiers (Exercise 5, stretch).
# 6. **Fit** a category list to past disagreements and measure it where it was not fitted (Exercise 6, stretch).

# %% [markdown] id="prerequisites"
# | you need | why | from |
# |---|---|---|
# | the cost of a call from its usage | a cascade pays for several calls an item | lab 01 |
# | self-rated confidence, and what an invalid reply is | the gate tests the confidence; invalid replies escalate | lab 02 |
# | the Wilson interval as a range around a share | a share of a few dozen questions is uncertain | lab 02, or read "95 % range" |
#
# Every number names its source. **sandbox**: stand-in models on this machine, no figures of the vendors' models. **recorded**: Amazon
# Bedrock, 2026-08-31, 150 tickets. **published**: a figure that somebody else printed.

# %% [markdown] id="instructor-open" tags=["instructor"]
# minutes: 1
# section: Opening
# say: Today you build the thing this course is named after. It takes ten lines. The rest of the lab asks whether it was a good idea.
# ask: Before we start, who believes that a cascade saves 60 to 80 percent? Keep your hand in mind; we test that claim at the end.

# %% id="parameters" tags=["parameters"]
SEED: int = 0  # the sandbox's seed; the same seed gives the same answers
LIMIT: int = 50  # how many calibration questions to ask, 5 to 50
TICKETS: int = 80  # how many calibration tickets to route, 10 to 80
THRESHOLD: int = 4  # keep an answer that rates itself at least this, on the scale from 1 to 5

# %% id="setup"
from statistics import mean

from workshop_lib.cascade import self_rated, single, walk
from workshop_lib.evaluation.arms import frame, run_arm, summary, text_table
from workshop_lib.evaluation.cache import ReplyCache
from workshop_lib.evaluation.labels import load_questions, load_tickets
from workshop_lib.lab import open_lab
from workshop_lib.tasks import QUESTIONS, TRIAGE

lab = open_lab("03_cascade", seed=SEED)
HERE = lab.settings.backend  # where the numbers of your own calls come from
ask = ReplyCache(None, lab.ask)  # asks each thing once and repeats the reply; every bill counts it in full

# %% id="helpers"
def told(guess):
    return "You wrote down no guess." if guess is ... else f"Your guess: {guess}."


def less(saving):
    return f"{100 * saving:.1f} % less" if saving >= 0 else f"{-100 * saving:.1f} % more"


# %% [markdown] id="win"
# ## The result first
#
# Here are a few dozen questions, from trivia to several steps of arithmetic. First the largest tier answers them all. Then a cascade of
# three tiers does: it stops at the first answer that rates itself `THRESHOLD` or more, on a scale from 1 to 5. Each way to answer every
# question is called an *arm*.

# %% id="win-run"
questions = load_questions("calibration")[:LIMIT]
items = [entry.question for entry in questions]
large = run_arm(QUESTIONS, items, single("nim-253b"), ask)
walked = run_arm(QUESTIONS, items, self_rated(below=THRESHOLD), ask)

# %% id="win-sentence"
usd_large = sum(trace.cost.usd for trace in large)
usd_walked = sum(trace.cost.usd for trace in walked)
print(f"{len(items)} questions ({HERE}, proxy prices)")
print(f"always 253B: {usd_large:.6f} USD")
print(f"cascade:     {usd_walked:.6f} USD, {less(1 - usd_walked / usd_large)}")

# %% [markdown] id="win-read"
# The bill says nothing about the answers.
#
# **Predict.** How many fewer right answers than always-253B did the cascade give? Replace the dots with a number (negative means that the
# cascade did better). If you leave them, everything still runs. The result comes near the end.

# %% id="guess-lost"
my_guess_lost = ...

# %% [markdown] id="instructor-win" tags=["instructor"]
# minutes: 2
# section: The result first
# show: The two bills. Do not scroll down to the table of right answers.
# say: Everyone writes down a number now, how many right answers the saving cost. We come back to it.
# ask: What else would you want to know before you show this saving to your manager?

# %% [markdown] id="one-tier"
# ## One tier's turn
#
# Now take it apart. A turn is one call. It gives you an answer and a bill. If the reply is not valid, the answer is `None`, and there is a
# bill all the same.

# %% id="ask-tier"
from workshop_lib.llm import InvalidAnswer

TIERS = ("nim-8b", "nim-70b", "nim-253b")


def ask_tier(tier, question):
    """Return the answer, None if the reply is not valid, and its cost in USD."""
    reply = ask(tier, QUESTIONS.request(question))
    try:
        answer = QUESTIONS.parse(question, reply)
    except InvalidAnswer:
        answer = None
    return answer, reply.cost.usd

# %% id="one-question"
right = frame(walked, questions)["correct"]
far = max(range(len(walked)), key=lambda i: (len(walked[i].steps), right[i]))  # went furthest and was answered right, if any
entry = questions[far]
print(entry.question.question)
print(f"Right answer: {entry.answer}\n")
for tier in TIERS:
    answer, usd = ask_tier(tier, entry.question)
    said = "no valid answer" if answer is None else f"{answer.answer!r}, confidence {answer.confidence}"
    print(f"{tier:8}  {usd:.8f} USD  {said}  ({HERE})")

# %% [markdown] id="ex1-header"
# ## Exercise 1 · 3 minutes · core · Keep or escalate
#
# Write the gate. `keep(answer, threshold)` returns `True` if the cascade may stop at this answer, and `False` if it must ask the next tier.
# `answer` has a `.confidence` from 1 to 5, or is `None` after an invalid reply. Confidence 4 at threshold 4 is kept.
#
# Stuck? Run `lab.hint("ex1")` in a new cell, more than once if needed.

# %% id="ex1" tags=["exercise"]
def keep(answer, threshold):
    """Say whether an answer is good enough to stop at; None stands for an invalid reply."""
    # <solution>
    return answer is not None and answer.confidence >= threshold
    # </solution>

# %% id="ex1-check"
keep = lab.check("ex1", keep)

# %% [markdown] id="ex1-why" tags=["solution-only"]
# **Why not `>`?** The scale is coarse. If "fairly sure" is 4 and the rule says 4 is enough, then `>` silently turns threshold 4 into
# threshold 5, and the bill shows it. **Why not keep `None`?** An invalid reply is not a poor answer, it is none at all.

# %% id="gate-on-small"
first = [ask_tier("nim-8b", question)[0] for question in items]
kept = sum(keep(answer, THRESHOLD) for answer in first)
invalid = sum(answer is None for answer in first)
print(f"Of {len(first)} first answers the gate keeps {kept} and escalates {len(first) - kept}, of them {invalid} invalid. ({HERE})")

# %% [markdown] id="ex2-header"
# ## Exercise 2 · 6 minutes · core · Walk the tiers and charge them all
#
# Write the walk. `cascade` asks tier after tier with `ask_tier(tier, question)`, which returns `(answer, usd)`, and stops at the first answer
# to keep. It returns two things: **the last valid answer** (`None` if no tier gave one) and **the USD of all tiers it asked**.
#
# Your `keep` from Exercise 1 is there to be used. The last tier's answer is final, sure or not.

# %% id="ex2" tags=["exercise"]
def cascade(question, tiers, ask_tier, threshold):
    """Return the last valid answer and the USD of every tier that was asked."""
    answer, usd = None, 0.0
    # <solution>
    for tier in tiers:
        said, cost = ask_tier(tier, question)
        usd += cost
        if said is not None:
            answer = said
        if keep(said, threshold):
            break
    return answer, usd
    # </solution>

# %% id="ex2-check"
cascade = lab.check("ex2", cascade)

# %% [markdown] id="ex2-why" tags=["solution-only"]
# **Why not charge the winner only?** The provider bills the small model's tokens whether you use its answer or not. **Why not the most
# confident answer?** Each model has its own idea of what a 4 is. You escalated because you trust the next tier more, so its word stands.

# %% [markdown] id="instructor-walk" tags=["instructor"]
# minutes: 2
# section: Walking the tiers
# say: Two mistakes are worth waiting for. Some return None when nobody is sure. Some charge the winner only, and their cascade looks better than it is.
# ask: (To unlock Exercise 2) Read me your loop as a shopping trip. When do you pay, before or after you decide whether you like it?
# cut: Let the room do Exercise 1 together, on the projector.

# %% [markdown] id="library"
# ## The same walk in the library
#
# `workshop_lib.cascade.walk` does the same for any kind of item and any gates. It records each turn as a `Step`, and all steps as a `Trace`.
# In its source, `_turn` asks one tier and collects the reasons to go on.

# %% id="library-source"
import inspect

print(inspect.getsource(walk))

# %% id="library-same"
mine = [cascade(question, TIERS, ask_tier, THRESHOLD) for question in items]
same = sum(answer == trace.answer and abs(usd - trace.cost.usd) < 1e-12 for (answer, usd), trace in zip(mine, walked, strict=True))
print(f"Same answer and same bill as the library on {same} of {len(items)} questions.")

# %% id="library-trace"
trace = walked[far]
for step in trace.steps:
    why = "; ".join(step.escalated_because) or "stops here"
    print(f"{step.tier:8}  {step.cost.usd:.8f} USD  {why}")
print(f"all tiers {trace.cost.usd:.8f} USD, answered by {trace.model_used}  ({HERE})")

# %% [markdown] id="winner-only"
# Charging the winner only is an easy mistake. It makes every cascade that escalates look cheaper than it is. By how much?

# %% id="winner-only-bill"
winners = sum(trace.steps[-1].cost.usd for trace in walked)
print(f"charging every tier asked: {less(1 - usd_walked / usd_large)} than always 253B")
print(f"charging the last call only: {less(1 - winners / usd_large)}")
print(f"The second bill leaves out {100 * (1 - winners / usd_walked):.1f} % of what was spent. ({HERE}, proxy prices)")

# %% [markdown] id="economics"
# ## When does it pay?
#
# Take two tiers. Every item pays the cheap tier, and the gate if it costs something (a *judge* does: one more model that rates the answer).
# A share `e` escalates and pays the strong tier **on top**. On average an item costs
#
# `cheap + gate + e * strong`
#
# **Predict.** Nano first, Sonnet behind it. What percentage of the tickets may escalate before this costs as much as Sonnet for all?

# %% id="guess-break-even"
my_guess_break_even = ...

# %% [markdown] id="ex3-header"
# ## Exercise 3 · 4 minutes · core · When it stops paying
#
# Write `break_even(cheap, strong, gate)`: the share of items, from 0 to 1, at which the cascade costs as much as always asking the strong
# model. All three arguments are USD per item. If the cascade can never pay, the result is zero or less.

# %% id="ex3" tags=["exercise"]
def break_even(cheap, strong, gate):
    """Return the share of items that may escalate before the cascade costs as much as the strong model alone."""
    # <solution>
    return 1 - (cheap + gate) / strong
    # </solution>

# %% id="ex3-check"
break_even = lab.check("ex3", break_even)

# %% [markdown] id="ex3-why" tags=["solution-only"]
# From `cheap + gate + e * strong < strong` follows `e < 1 - (cheap + gate) / strong`. **Why not weigh the cheap tier with `1 - e`?** That is a
# router, which picks one tier for each item and pays only that one. A cascade has paid the cheap tier before it knows.

# %% id="costs"
from workshop_lib import catalog
from workshop_lib.evaluation.recorded import recorded

replies = recorded()


def today(key):
    price = catalog.model(key).price
    return mean(price.usd(i, o) for i, o in zip(replies[f"{key}_input_tokens"], replies[f"{key}_output_tokens"], strict=True))


day = catalog.model("sonnet").price.checked_on
pairs = {
    "Nano, Sonnet (recorded)": (replies["nano_cost_usd"].mean(), replies["sonnet_cost_usd"].mean()),
    f"Nano, Sonnet (recorded tokens, list prices of {day})": (today("nano"), today("sonnet")),
    f"8B, 253B ({HERE} tokens, proxy prices)": (mean(trace.steps[0].cost.usd for trace in walked), usd_large / len(items)),
}

# %% id="costs-break-even"
print(told(my_guess_break_even))
for name, (cheap, strong) in pairs.items():
    print(f"{name}:")
    print(f"  the strong tier costs {strong / cheap:.0f} times as much, break-even at {100 * break_even(cheap, strong, 0):.1f} % escalated")

cheap, strong = pairs["Nano, Sonnet (recorded)"]
with_judge = break_even(cheap, strong, strong)
print(f"\nNano, Sonnet and a judge that costs one Sonnet call an item: {100 * with_judge:.1f} %, ", end="")
print(f"so it {'never pays' if with_judge <= 0 else 'can pay'}. (recorded)")

# %% [markdown] id="costs-read"
# With a very cheap first tier nearly everything may escalate and it still saves, unless the gate costs as much as the strong model. So two
# other questions decide: **is the answer still right**, and **does it still come in time**?

# %% [markdown] id="instructor-economics" tags=["instructor"]
# minutes: 2
# section: When does it pay?
# say: Most people guess a break-even near one half. It is far higher, because the first tier is so cheap.
# ask: (To unlock Exercise 3) Which part of the price does an item pay that is not escalated? And one that is?
# cut: Show the break-even of the first pair only, and the judge's line.

# %% [markdown] id="tickets"
# ## Tickets: other gates
#
# A ticket's answer carries a confidence, a category, a priority, and `needs_human`. So there are more gates. The *documented* policy
# escalates when Nano is **unsure** (confidence below 0.7), or when the **stakes** are high (P0, P1, or a person needed). The *published*
# policy also escalates **certain categories**.
#
# Stakes rules do not ask whether the model is right. They ask what an error would cost.

# %% id="tickets-run"
labelled = load_tickets("calibration")[:TICKETS]
tickets = [entry.ticket for entry in labelled]
nano = run_arm(TRIAGE, tickets, single("nano"), ask)
decisions = [trace.answer for trace in nano if trace.answer is not None]
example = decisions[0]
without = len(tickets) - len(decisions)
print(f"Valid decisions: {len(decisions)} of {len(tickets)} ({HERE}). Invalid replies, which escalate in any case: {without}.")
print("The first decision:")
print(f"{example.category}, {example.priority}, confidence {example.confidence}, needs_human {example.needs_human}")

# %% [markdown] id="ex4-header"
# ## Exercise 4 · 4 minutes · core · The rules for tickets
#
# Write `escalates(decision, categories)`. It returns `True` if the decision has `.confidence` below 0.7, or `.priority` P0 or P1, or
# `.needs_human`, or a `.category` that is among `categories`. One reason is enough. (Invalid replies never get here; the walk escalates them
# by itself.)

# %% id="ex4" tags=["exercise"]
def escalates(decision, categories):
    """Say whether a decision goes on to the next tier."""
    # <solution>
    unsure = decision.confidence < 0.7
    stakes = decision.priority in ("P0", "P1") or decision.needs_human
    return unsure or stakes or decision.category in categories
    # </solution>

# %% id="ex4-check"
escalates = lab.check("ex4", escalates)

# %% [markdown] id="ex4-why" tags=["solution-only"]
# **Why not join the rules by `and`?** Then a P0 that the model is sure about stays with the small model, and a sure error is the very case
# that hurts. Each rule guards against a different danger, so each must be able to escalate alone.

# %% id="rules-used"
from workshop_lib.cascade import documented, published, reasons
from workshop_lib.cascade.policies import DISAGREED_BEFORE

LIST = ("abuse", *DISAGREED_BEFORE)
for policy, categories in ((documented(), ()), (published(), LIST)):
    mine = [escalates(decision, categories) for decision in decisions]
    same = sum(yes == bool(reasons(policy.gates, decision)) for yes, decision in zip(mine, decisions, strict=True))
    print(f"{policy.name}: {sum(mine)} of {len(mine)} escalate, {100 * mean(mine):.1f} %. ({HERE})")
    print(f"  same as the library's gates on {same} of {len(mine)}")
print("always escalated by the published policy:", ", ".join(LIST))

# %% [markdown] id="policies"
# ## Two policies on the same tickets
#
# Both policies walk over the same replies of the two stand-ins. `right` counts the tickets whose category agrees with the label, `joint`
# those that agree in all three fields. `low` and `high` bound the 95 % Wilson interval of the share right. The escalation rate is a share of
# all tickets.

# %% id="policies-run"
ticket_arms = {"always nano": frame(nano, labelled)}
for policy in (single("sonnet"), documented(), published()):
    ticket_arms[policy.name] = frame(run_arm(TRIAGE, tickets, policy, ask), labelled)

COLUMNS = ["arm", "n", "right", "low", "high", "joint", "cost_usd", "escalation_rate", "source"]
print(text_table(summary(ticket_arms)[COLUMNS]))

# %% id="policies-sentence"
def against(arm, strong):
    saving = 1 - arm["cost_usd"].sum() / strong["cost_usd"].sum()
    return f"{less(saving)} than the strong tier alone, {arm['correct'].sum()} right against {strong['correct'].sum()}"


for name in ("documented", "published"):
    print(f"{name}: {against(ticket_arms[name], ticket_arms['always sonnet'])} ({HERE})")

# %% [markdown] id="recorded-policies"
# And the real models? The recording holds both models' replies to 150 tickets, with labels that people reviewed. Any policy can be walked
# over them without a call.

# %% id="recorded-run"
from workshop_lib.evaluation.recorded import recorded_arms

real = recorded_arms(documented(), published())
print(text_table(summary(real)[COLUMNS]))
print()
first, second = real["cascade (documented)"], real["cascade (published)"]
print(f"documented: {against(first, real['sonnet'])} (recorded)")
print(f"published:  {against(second, real['sonnet'])} (recorded)")
more, better = (int(second[column].sum() - first[column].sum()) for column in ("escalated", "correct"))
print(f"The published policy escalates {more} tickets more and gets {better} more right. (recorded)")
joint = summary(real).set_index("arm")["joint"]
print(f"Right in all three fields: {joint['nano']} with Nano alone, {joint['cascade (documented)']} with the documented policy. (recorded)")

# %% [markdown] id="recorded-read"
# An escalation helps only where the first tier is wrong and the next one right, so escalating more need not help. In all three fields the
# documented policy did no better than Nano alone. The next section shows one reason.

# %% [markdown] id="instructor-tickets" tags=["instructor"]
# minutes: 2
# section: Two policies on the same tickets
# say: Compare the two cascades in the recorded table. One escalates seven times as much as the other. Look at their right answers.
# ask: (To unlock Exercise 4) A P0, confidence 0.99. Does it go on? And why does the confidence not matter?
# cut: Show the recorded table only.

# %% [markdown] id="flags"
# ## Whose word counts?
#
# Nano says that a person must look at a ticket, so it escalates. Sonnet answers: no person needed. For the category the later tier's word
# counts. The flag is different: one look too many costs minutes, one too few can cost a customer. So the library's
# `trace.review_required` is true if **any** tier raised the flag.

# %% id="flags-recorded"
from workshop_lib.evaluation.recorded import recorded_ask, recorded_labels

gold = recorded_labels()
traces = run_arm(TRIAGE, [entry.ticket for entry in gold], documented(), recorded_ask)
need = [trace for trace, entry in zip(traces, gold, strict=True) if entry.label.needs_human]
final_only = sum(trace.answer.needs_human for trace in need)
any_tier = sum(trace.review_required for trace in need)
print(f"{len(need)} of {len(gold)} recorded tickets need a person, by the reviewed labels. Documented policy:")
print(f"  the final answer's flag finds {final_only} of them")
print(f"  a flag from any tier finds    {any_tier} of them  (recorded)")

# %% [markdown] id="flags-read"
# Sonnet had taken back flags that Nano raised. Combining the flags needs no extra call. It does not find everything either, so in production
# people still look at a sample of the tickets that no tier flagged.

# %% [markdown] id="instructor-flags" tags=["instructor"]
# minutes: 1
# section: Whose word counts?
# ask: One guard shouts fire, the next one sees nothing. Do you call off the alarm?
# cut: Read out the two counts.

# %% [markdown] id="leak"
# ## A list that leaks
#
# The published policy's list names the categories in which Nano and Sonnet had disagreed on 30 tickets, and the published figure was measured
# **on the same 30 tickets**. The list had seen the answers. That is a *leak*.
#
# Sonnet gets more tickets right than Nano. How much of that gap does the cascade recover, on those 30 and on others?

# %% id="leak-published"
from workshop_lib.evaluation.recorded import published as published_tables

table = published_tables()
readme = table[table["source"].str.endswith("README")].set_index("arm")
small, strong, both = (int(readme.loc[arm, "category_right"]) for arm in ("nano_only", "sonnet_only", "cascade_published_policy"))
row = readme.loc["cascade_published_policy"]
rate = row["escalated"] / row["tickets"]
print(f"its own {row['tickets']:.0f} tickets: {100 * rate:.1f} % escalated, recovers {both - small} of a gap of {strong - small} (published, a judge's labels)")
now = {name: int(arm["correct"].sum()) for name, arm in real.items()}
for name in ("published", "documented"):
    rate, gain = real[f"cascade ({name})"]["escalated"].mean(), now[f"cascade ({name})"] - now["nano"]
    print(f"{len(gold)} others, {name}: {100 * rate:.1f} % escalated, recovers {gain} of a gap of {now['sonnet'] - now['nano']} (recorded, reviewed labels)")

# %% [markdown] id="leak-result"
# On its own tickets the list recovers the whole gap, on others a sixth, no more than the documented policy does without a list. (The first
# line's labels come from a judge, the other lines' were reviewed by people. "Going further" compares without labels.)

# %% [markdown] id="instructor-leak" tags=["instructor"]
# minutes: 2
# section: A list that leaks
# say: Nobody cheated. They looked at their errors, fixed what they saw, and measured again on the same tickets. We all do that.
# show: The lines of the recovered gap, the first against the second.
# ask: How would you have split the 30 tickets?
# cut: Say the two recovered gaps in one sentence.

# %% [markdown] id="claim-saved"
# ## The claim: 60 to 80 % saved
#
# A course on this pattern (published) claims 60 to 80 % saved on balanced traffic. Back to the questions, now with the right answers: the three
# single tiers, and the cascade at every threshold.

# %% id="saved-run"
question_arms = {f"always {tier}": frame(run_arm(QUESTIONS, items, single(tier), ask), questions) for tier in TIERS}
for threshold in sorted({2, 3, 4, 5, THRESHOLD}):
    policy = self_rated(below=threshold)
    question_arms[f"cascade at {threshold}"] = frame(run_arm(QUESTIONS, items, policy, ask), questions)

compared = summary(question_arms)
compared["saved"] = 1 - compared["cost_usd"] / question_arms["always nim-253b"]["cost_usd"].sum()
print(text_table(compared[["arm", "n", "right", "low", "high", "cost_usd", "saved", "escalation_rate", "source"]]))

# %% id="saved-sentence"
chosen, top = question_arms[f"cascade at {THRESHOLD}"], question_arms["always nim-253b"]
row, best = (compared.set_index("arm").loc[name] for name in (f"cascade at {THRESHOLD}", "always nim-253b"))
print(told(my_guess_lost))
fewer = best["right"] - row["right"]
print(f"Right: {row['right']} of {row['n']} against {best['right']}, {abs(fewer)} {'fewer' if fewer >= 0 else 'more'}. Saved: {100 * row['saved']:.1f} %. ({HERE})")
print(f"The claim of 60 to 80 % {'holds' if 0.6 <= row['saved'] <= 0.8 else 'does not hold'} here, for the cost. ({HERE} tokens, proxy prices)")
lost, won = (~chosen["correct"] & top["correct"]), (chosen["correct"] & ~top["correct"])
print(f"On the same questions: {lost.sum()} only always-253B got right, {won.sum()} only the cascade.")
early = lost & (chosen["model_used"] != "nim-253b")
print(f"Of the {lost.sum()} lost, {early.sum()} ended before 253B was asked: a smaller tier was wrong and rated itself {THRESHOLD} or more. ({HERE})")
apart = row["high"] < best["low"] or best["high"] < row["low"]
print(f"The intervals {'do not overlap' if apart else 'overlap'}: {row['low']:.3f} to {row['high']:.3f}, and {best['low']:.3f} to {best['high']:.3f}.")

# %% [markdown] id="saved-read"
# Overlapping intervals do not mean "as good". They mean that this comparison does not settle it. Lab 05 compares item by item, which sees
# more.
#
# Next question: is there **another arm** that is cheaper and better?

# %% id="saved-figure"
from workshop_lib.evaluation.figures import cost_quality_figure

cost_quality_figure(summary(question_arms), HERE, "Questions: single tiers and cascades").show()

# %% id="saved-dominated"
for name in [arm for arm in question_arms if arm.startswith("cascade")]:
    mine = compared.set_index("arm").loc[name]
    single_tiers = compared[compared["arm"].str.startswith("always")]
    beaten = single_tiers[(single_tiers["right"] >= mine["right"]) & (single_tiers["cost_usd"] <= mine["cost_usd"])]
    by = ", ".join(beaten["arm"]) or "no single tier"
    print(f"{name}: {by} is right at least as often and costs no more. ({HERE})")

# %% [markdown] id="saved-dominated-read"
# If a line names a single tier, do not run that cascade: one model is simpler, costs no more, and was right at least as often here. So
# compare with **every** tier alone.

# %% [markdown] id="instructor-saved" tags=["instructor"]
# minutes: 3
# section: The claim, 60 to 80 percent saved
# say: Read your guess aloud, then the first line. Now the hands from the opening again. Who would still put the saving on a slide?
# show: The table, then the figure. Cover the most expensive tier with your hand and ask which arm looks best now.
# ask: The intervals overlap. Does that mean the cascade is as good? (No. It means that so few questions cannot tell.)

# %% [markdown] id="when-not"
# ## When not to cascade
#
# - **Nearly everything needs the strong model.** Then the first tier is only a delay.
# - **The confidence tells you nothing.** Confident errors pass the gate. Lab 02 measured that.
# - **The answer triggers an action** that cannot be undone.
# - **Time is tight.** An escalated item waits for both tiers.
# - **Volume is low.** The saving must pay for building and watching it.
#
# "Going further" computes the last two from the recording.

# %% [markdown] id="takeaways"
# ## What to keep
#
# 1. Charge every tier that ran, the invalid replies too, and not only the winner.
# 2. It pays while `e < 1 - (cheap + gate) / strong`. With a very cheap first tier cost seldom decides; answers and time do.
# 3. The last valid answer counts, but safety flags accumulate over all tiers.
# 4. A rule looks better than it is on the tickets it was fitted on. Measure it on others.
# 5. Beside every saving put the right answers with an interval, and every single tier as a rival.

# %% [markdown] id="recall"
# ## Do you remember?
#
# **1.** A reply is invalid. What does the cascade do, and who pays?
#
# <details><summary>Answer</summary>It escalates. You pay: the tokens were used.</details>
#
# **2.** Nano flags a ticket for a person, Sonnet does not. Category and flag: whose word counts?
#
# <details><summary>Answer</summary>Sonnet's for the category, as the last valid answer. Nano's flag stays.</details>
#
# **3.** (Lab 02) A model states 0.95 on nearly everything. What does a threshold of 0.7 do?
#
# <details><summary>Answer</summary>Nothing: it never fires, so no error is caught by it.</details>

# %% [markdown] id="further"
# ## Going further
#
# This section is not counted in the minutes, and no later lab needs it. Take from it what you like, in any order.

# %% [markdown] id="instructor-further" tags=["instructor"]
# minutes: 0
# section: Going further
# say: For those who are done early, or for home. Exercises 5 and 6 stand on their own.
# show: (If there is time) The table by category, the line where Nano says "other". Then the three readings of the note's claim.

# %% [markdown] id="ex5-header"
# ### Exercise 5 · 3 minutes · stretch · A safety flag stays raised
#
# Write what `trace.review_required` does. Each of the `steps` has an `.answer` with `.needs_human`; the answer is `None` if that tier's reply
# was invalid. `review_required(steps)` returns `True` if **any** tier raised the flag.

# %% id="ex5" tags=["exercise"]
def review_required(steps):
    """Say whether any tier said that a person is needed."""
    # <solution>
    return any(step.answer is not None and step.answer.needs_human for step in steps)
    # </solution>

# %% id="ex5-check"
review_required = lab.check("ex5", review_required)

# %% [markdown] id="ex5-why" tags=["solution-only"]
# **Why not the final answer's flag?** For the category the later tier's word replaces the earlier one. A safety flag is no opinion to be
# replaced: one look too many costs minutes, one too few can cost a customer. So the two are combined differently.

# %% id="flags-same"
same = sum(review_required(trace.steps) == trace.review_required for trace in traces)
print(f"Same as the library on {same} of {len(traces)} recorded tickets.")

# %% [markdown] id="leak-why"
# ### Where the list points
#
# "A list that leaks" compared labels of two kinds. Here is a test that needs no labels. Where do the two models disagree on the new tickets,
# and does the list point there?

# %% id="leak-categories"
disagree = replies["nano_category"] != replies["sonnet_category"]
by_category = disagree.groupby(replies["nano_category"]).agg(["size", "sum"]).reset_index()
by_category.columns = ["nano says", "tickets", "disagree"]
by_category["on the list"] = by_category["nano says"].isin(LIST)
print(text_table(by_category))
listed = by_category[by_category["on the list"]]
print(f"\nThe list escalates {listed['tickets'].sum()} of {len(replies)} tickets and meets {listed['disagree'].sum()} of {disagree.sum()} disagreements. (recorded)")

# %% [markdown] id="leak-read"
# On these tickets the two models disagree mostly where Nano says `other`, and `other` is not on the list. So the list pays for many
# escalations in categories where the models already agree, and lets most of the disagreements through.

# %% [markdown] id="ex6-header"
# ### Exercise 6 · 5 minutes · stretch · Fit the list yourself
#
# Write `fit_list(pairs)`. Each pair is `(cheap_category, strong_category)` for one past ticket. Return the categories a gate should escalate:
# those the **gate can see** and in which the two models disagreed at least once.

# %% id="ex6" tags=["exercise"]
def fit_list(pairs):
    """Return the categories of the cheap model in which the strong one said something else at least once."""
    # <solution>
    return {cheap for cheap, strong in pairs if cheap != strong}
    # </solution>

# %% id="ex6-check"
fit_list = lab.check("ex6", fit_list)

# %% [markdown] id="ex6-why" tags=["solution-only"]
# **Why not the strong model's category?** You would have to ask the strong model to know it, and then nothing is left to decide. A gate
# may use only what is known before the next call.

# %% id="fit-pairs"
import pandas as pd

here = zip(ticket_arms["always nano"]["category"], ticket_arms["always sonnet"]["category"], strict=True)
past = {HERE: [pair for pair in here if all(isinstance(name, str) for name in pair)]}  # an invalid reply has no category
past["recorded"] = list(zip(replies["nano_category"], replies["sonnet_category"], strict=True))


def measure(fitted, measured, source, pairs, categories):
    """Return one row: how many of the disagreements among the pairs a list of categories meets, and how many chance would."""
    differ = [cheap != strong for cheap, strong in pairs]
    listed = [cheap in categories for cheap, _ in pairs]
    met = sum(cheap != strong and cheap in categories for cheap, strong in pairs)
    row = {"fitted on": fitted, "measured on": measured, "source": source, "escalated": mean(listed)}
    return row | {"disagree": sum(differ), "met": met, "met by chance": mean(listed) * sum(differ)}

# %% id="fit-measure"
rows = []
for source, pairs in past.items():
    cut = min(30, len(pairs) // 2)
    categories = fit_list(pairs[:cut])
    rows.append(measure(f"{cut} tickets", f"the same {cut}", source, pairs[:cut], categories))
    rows.append(measure(f"{cut} tickets", f"{len(pairs) - cut} others", source, pairs[cut:], categories))
rows.append(measure("the published 30", f"{len(replies)} others", "recorded", past["recorded"], LIST))
print(text_table(pd.DataFrame(rows), {"met by chance": 1}))

# %% [markdown] id="fit-read"
# On its own tickets every such list meets every disagreement, because it was made from them. So the score there cannot tell a good list from
# a useless one. Other tickets can.
#
# "Met by chance" is the fair comparison: escalate as many tickets at random. One warning remains. Tickets of one scenario resemble each other,
# so "other tickets" should also be other scenarios. Lab 05 takes care of that.

# %% [markdown] id="claim"
# ### A claim to recompute
#
# An architecture note on this pattern (published) says: 80 % of the requests are simple, tier 1 costs a tenth and is right 95 % of the time,
# so you pay **15 to 25 %** of what the strong model costs. It adds that you need a pass rate above 80 %.
#
# **Predict.** What percentage do you get from the note's numbers?

# %% id="guess-share"
my_guess_share = ...

# %% id="claim-recomputed"
from workshop_lib.cascade import expected_cost

print(told(my_guess_share))
readings = {
    "all try tier 1, 20 % escalate": expected_cost((0.1, 1), (0.20,)),
    "all try tier 1, 5 % of the simple fail too": expected_cost((0.1, 1), (0.20 + 0.05 * 0.80,)),
    "a free router sends 20 % straight to tier 2": 0.80 * 0.1 + 0.20,
}
for name, share in readings.items():
    verdict = "within" if 0.15 <= share <= 0.25 else "outside"
    print(f"{100 * share:.1f} %, {verdict} 15 to 25 %: {name}")
low, high = 0.15 - 0.1, 0.25 - 0.1
print(f"15 to 25 % needs {100 * low:.0f} to {100 * high:.0f} % escalated.")
print(f"Break-even at a tenth of the price: a pass rate above {100 * (1 - break_even(0.1, 1, 0)):.0f} %.")

# %% [markdown] id="claim-read"
# None of these three readings of the note's own numbers gives its result: the fifth that reaches the strong model costs 20 % by itself, and
# the first tier comes on top. And for cost alone a far lower pass rate is enough. Recompute a business case before you repeat it.

# %% [markdown] id="when-not-time"
# ### What waiting and volume are worth
#
# "When not to cascade" named time and volume. The recording has both replies' latencies and costs.

# %% id="when-not-numbers"
from workshop_lib.cascade import monthly

mine, strong = real["cascade (documented)"], real["sonnet"]
on = mine["escalated"].to_numpy()
spent = {name: arm["latency_ms"][on].mean() for name, arm in (("both", mine), ("Sonnet", strong), ("Nano", real["nano"]))}
times = summary({"cascade": mine, "always sonnet": strong}).set_index("arm")
for name in times.index:
    print(f"{name}: p50 {times.loc[name, 'p50_ms']:.0f} ms, p95 {times.loc[name, 'p95_ms']:.0f} ms (recorded)")
print(f"The {on.sum()} escalated tickets took {spent['both'] / spent['Sonnet']:.2f} times as long as Sonnet alone, ", end="")
print(f"{spent['both'] / spent['Nano']:.1f} times as long as Nano alone (recorded). Claimed: 2 to 3 times (published).")
saved = strong["cost_usd"].mean() - mine["cost_usd"].mean()
for volume in (100, 1_000, 10_000):
    print(f"{volume:6,} tickets a day save {monthly(saved, volume):8,.0f} USD a month (recorded)")

# %% [markdown] id="when-not-read"
# An escalated item takes longer than the strong model alone by the time of the first tier. That is little when the first tier is fast. What
# the saving is worth depends on your volume: compare it with what the engineers cost who build the cascade and look after it.

# %% [markdown] id="playground"
# ### Playground
#
# Change the tiers or the threshold and run it again. What does the middle tier buy? Find the cheapest cascade that no single tier beats.

# %% id="playground-cell"
mine = self_rated(below=5, tiers=("nim-8b", "nim-253b"))
arm = frame(run_arm(QUESTIONS, items, mine, ask), questions)
print(text_table(summary({"yours": arm, "always nim-253b": top})[["arm", "right", "low", "high", "cost_usd", "escalation_rate", "source"]]))

# %% [markdown] id="next"
# ## What next
#
# You can route one ticket at a time. **Lab 04, Bulk** routes many at once, and survives throttling. **Lab 05, Bake-off** then asks what this
# lab left open, with paired comparisons: would you ship it?

# %% [markdown] id="instructor-close" tags=["instructor"]
# minutes: 1
# section: Close
# say: A cascade is ten lines. Knowing whether to run it was the rest of the lab.
# ask: One sentence each. What would you measure first on your own traffic?
