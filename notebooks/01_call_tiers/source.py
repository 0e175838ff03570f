# %% [markdown] id="title"
# # Call three tiers and read the bill
#
# You send one question to three models and one ticket to two, changing only the model's name, and work out what each call cost.
#
# **Time:** 30 minutes alone, 33 minutes in a room. **Cost here:** nothing, the models are stand-ins on this machine. **Cost
# live:** about 0.11 USD on Amazon Bedrock for the whole notebook, at recorded token counts and list prices; NVIDIA NIM prints no
# token price.
#
# A *tier* is one model in a row from cheap to expensive. This course answers most requests with the cheap one. To say whether
# that pays, you have to know what a call costs.

# %% [markdown] id="objectives"
# ## What you will be able to do
#
# 1. **Compute** the cost of one call from its usage and the price of each direction (Exercise 1).
# 2. **Read** a decision from a Converse response, whether it came as a tool call or as text (Exercise 2).
# 3. **Measure** how many more tokens one tier counts for the same prompt (Exercise 3).
# 4. **Turn** the cost of a call into a monthly bill at your volume (Exercise 4).
# 5. **Bill** calls that did not report their usage, without calling the missing part zero (Exercise 5, stretch, in *Going
#    further*).

# %% [markdown] id="prerequisites"
# | you need | why | enough is |
# |---|---|---|
# | Python functions and dictionaries | you write functions of one to five lines | you can read `row["usage"]["inputTokens"]` |
# | what a token is | models charge by the token | a piece of a word, about four letters of English |
# | a cloud account | not needed | everything here runs against a server on this machine, the *sandbox* |

# %% [markdown] id="services"
# Two services appear, each with its models from cheap to expensive:
#
# - **NVIDIA NIM**, called with the `openai` package: Llama 8B, Llama 70B and Nemotron Ultra 253B. The number counts weights in
#   billions.
# - **Amazon Bedrock**, called with `boto3` through *Converse*, its one request format for all its models: **Nano** and **Super**
#   (Nemotron, by NVIDIA), **Sonnet** and **Opus** (Claude, by Anthropic).
#
# Both packages are the real ones; only the address they call differs from a live run.

# %% [markdown] id="instructor-open" tags=["instructor"]
# minutes: 3
# half: 2
# section: Opening
# say: Nobody needs an account today. The clients are the real ones, the models are stand-ins, and every number says where it came
#   from.
# show: The first cell's cost line, then the line that open_lab prints.
# ask: Who has seen a model's bill before reading the code that caused it?
# cut: Leave out the question; run both cells while you speak.
# allow: title 0.11 USD (the lab's calls at the mean recorded tokens of a ticket)

# %% id="parameters" tags=["parameters"]
SEED: int = 0  # the sandbox's seed; the same seed gives the same answers
LIMIT: int = 20  # how many sample tickets to send to Nano, 1 to 20
CALLS_PER_DAY: int = 10000  # the volume of the monthly bill; put in your own

# %% id="setup"
import json
from statistics import mean

import pandas as pd

from workshop_lib import catalog
from workshop_lib.evaluation.arms import text_table
from workshop_lib.evaluation.labels import load_questions, load_tickets
from workshop_lib.lab import open_lab
from workshop_lib.llm import Request

lab = open_lab("01_call_tiers", seed=SEED)
HERE = lab.settings.backend  # where the numbers of your own calls come from

# %% [markdown] id="win"
# ## The result first
#
# One question, three tiers, three calls. The question needs three steps of arithmetic.

# %% id="win-question"
asked = next(entry for entry in load_questions("calibration") if entry.question.id == "QC-040")
question = asked.question.question
print(question)
print("Right answer:", asked.answer)

# %% id="win-calls"
TIERS = ("nim-8b", "nim-70b", "nim-253b")
replies = {tier: lab.ask(tier, Request(prompt=question, max_tokens=120)) for tier in TIERS}

rows = []
for tier, reply in replies.items():
    answer = (reply.text.splitlines() or ["(nothing)"])[0][:40]
    row = {"tier": tier, "answer": answer, "right": asked.equivalence.accepts(answer, asked.answer)}
    rows.append(row | {"usd_per_1000": 1000 * reply.cost.usd, "latency_ms": reply.latency_ms, "source": reply.source})
print(text_table(pd.DataFrame(rows), {"usd_per_1000": 5}))

# %% id="win-sentence"
cheap, expensive = replies[TIERS[0]].cost.usd, replies[TIERS[-1]].cost.usd
print(
    f"{TIERS[-1]} cost {expensive / cheap:.0f} times as much as "
    f"{TIERS[0]} for the same question ({HERE} tokens, proxy prices)."
)
print(f"Right: {', '.join(row['tier'] for row in rows if row['right']) or 'no tier'} ({HERE}).")

# %% [markdown] id="win-labels"
# Read the `source` column first. **sandbox** means: small programs on this machine answered in place of the models. They make
# real mistakes, but their own. So a row says how *the stand-in for* a tier did, not how good the vendor's model is. Tokens and
# latency are modelled too. The prices come from a dated table, which you will open below. One call costs too little to read, so
# `usd_per_1000` is for 1,000 such calls.

# %% [markdown] id="instructor-win" tags=["instructor"]
# minutes: 2
# section: The result first
# say: Three calls, one string changed. The answers differ, and so do the bills. The rest of the lab is about the second
#   difference.
# show: The table, column by column; stay on the column source.
# ask: Which of these columns would change on a live run? (All but the prices behind usd_per_1000.)

# %% [markdown] id="openai"
# ## One endpoint, three values of `model=`
#
# `lab.ask` hides the client. Here is the call itself, with the plain `openai` client that talks to NVIDIA NIM in a live run. To
# call another tier, change the string. (`nim-8b` is the short name in this course's model table; the server wants the full id.)

# %% id="openai-call"
completion = lab.openai.chat.completions.create(
    model="meta/llama-3.1-8b-instruct",
    messages=[{"role": "user", "content": question}],
    max_tokens=120,
)
print(completion.choices[0].model_dump_json(indent=1, exclude_none=True))
print(completion.usage.model_dump_json(indent=1, exclude_none=True))
print("A cost field?", getattr(completion.usage, "cost", "no"))

# %% [markdown] id="openai-usage"
# The answer is the message's `content`. `finish_reason` says why the model stopped: `stop` means done, `length` means cut off at
# `max_tokens`. `usage` says how many tokens went in (`prompt_tokens`) and came out, but not what they cost. You multiply
# yourself, so you need a price for each direction, input and output.

# %% id="openai-all"
completions = {}
for tier in TIERS:
    completions[tier] = lab.openai.chat.completions.create(
        model=catalog.model(tier).id, messages=[{"role": "user", "content": question}], max_tokens=120
    )
    usage = completions[tier].usage
    print(f"{tier:8}  {usage.prompt_tokens:3} tokens in, {usage.completion_tokens:3} out ({HERE})")

# %% [markdown] id="predict-price"
# ## The price of each direction
#
# **Predict.** With Claude Sonnet, how many times as much does an *output* token cost as an *input* token? Write a number over the
# first dots; up to 1 away counts as right. Over the second, write how sure you are of that, from 0 to 1.
#
# If you leave the dots, everything still runs. Once you have seen the result, a prediction no longer changes. At the end of lab
# 02 you see how often you were right when you were sure.

# %% id="predict-price-guess"
lab.predict("output price", ..., within=1, confidence=...)

# %% id="prices"
rows = []
for key, model in catalog.models().items():
    price = model.price
    row = {"tier": key, "where": model.provider, "in": price.input, "out": price.output}
    rows.append(row | {"out/in": price.output / price.input, "price is": price.basis})
price_table = pd.DataFrame(rows)
print("USD per million tokens")
print(text_table(price_table, {"in": 3, "out": 3, "out/in": 1}))

# %% id="prices-read"
bedrock = price_table[price_table["where"] == "bedrock"]["out/in"]
sonnet_price = catalog.model("sonnet").price
lab.score("output price", sonnet_price.output / sonnet_price.input, unit="times")
print(f"On Bedrock an output token costs {bedrock.min():.1f} to {bedrock.max():.1f} times an input token.\n")
for key in ("sonnet", "nim-8b", "nim-253b"):
    price = catalog.model(key).price
    print(f"{key}: {price.basis} price, checked {price.checked_on}, from {price.source}")

# %% [markdown] id="prices-proxy"
# A **list** price is the provider's own. NIM prints no token price for its models, so its rows hold a **proxy**: what another
# host charges for the same weights. A proxy will do for comparing tiers here. It is not what you would pay. For your own NIM, put
# your own figure into `data/models.toml`, such as the cost of your GPU hours divided by the tokens they served.

# %% [markdown] id="instructor-prices" tags=["instructor"]
# minutes: 2
# half: 1
# section: The price of each direction
# say: Write the prediction down before you scroll. Two prices a model, one for each direction, and output is the expensive one.
#   Prices are data with a source and a day, never constants in the code.
# show: The column out/in, then the three lines with their sources.
# ask: What would a proxy price do to a business case? (It can rank tiers. It cannot promise a saving.)
# cut: Run the cells up to Exercise 1 in one go and talk about the table only.

# %% [markdown] id="ex1-header"
# ## Exercise 1 · 4 minutes · core · What one call costs
#
# Write `call_usd`. It gets the tokens of one call and a price with two numbers, `price.input` and `price.output`, in USD per
# **million** tokens. It returns USD.
#
# Stuck? Run `lab.hint("ex1")`, again for the next hint. A wrong answer does not stop you: the check says what is wrong and hands
# you the reference to go on with.

# %% id="ex1" tags=["exercise"]
def call_usd(input_tokens, output_tokens, price):
    # <solution>
    return (input_tokens * price.input + output_tokens * price.output) / 1_000_000
    # </solution>

# %% id="ex1-check"
call_usd = lab.check("ex1", call_usd)

# %% [markdown] id="ex1-why" tags=["solution-only"]
# **Why not one blended price per 1,000 tokens?** Because the mix of input and output differs between tiers and prompts, and
# output is the more expensive direction. **Why not guess tokens from the length of the text?** A published comparison did so at
# first. Counted with the tokens that the service reported, the same 30 tickets cost about five times as much (published, [how the
# tables differ](../../data/published/README.md)).

# %% [markdown] id="ex1-after"
# Price the three calls from before with it. `lab.ask` has priced the same calls already.

# %% id="ex1-use"
print(f"Tokens: {HERE}. Prices: proxy.")
for tier, done in completions.items():
    usd = call_usd(done.usage.prompt_tokens, done.usage.completion_tokens, catalog.model(tier).price)
    same = abs(usd - replies[tier].cost.usd) < 1e-12
    print(f"{tier:8}  {usd:.8f} USD by call_usd, {'the same' if same else 'not the same'} by lab.ask")

# %% [markdown] id="tickets"
# ## One ticket, two tiers on Bedrock
#
# A support ticket needs a *decision*: category, priority, whether a person must look. You want fields and not prose. Ask for JSON
# in the prompt, and each model wraps it in words of its own. So use a **forced tool**: you describe a function with its fields
# and the values they may take, and name it in `toolChoice`. The model then answers with a call of it. Nobody runs the function;
# its arguments are the answer.

# %% id="tickets-load"
from workshop_lib.tasks.triage import SYSTEM, TOOL, prompt

samples = {entry.ticket.id: entry.ticket for entry in load_tickets("samples")}
ticket = samples["S-13"]
print(prompt(ticket))
print()
for name, field in TOOL.schema["properties"].items():
    print(f"{name:12} {', '.join(field.get('enum', [field['type']]))}")

# %% [markdown] id="converse-parts"
# A Converse request, part by part:
#
# | part | what it holds |
# |---|---|
# | `modelId` | the tier |
# | `system` | the standing instruction, the same for every ticket |
# | `messages` | the conversation; here one message, the ticket |
# | `inferenceConfig` | `maxTokens` cuts a longer answer off; `temperature` 0 leaves as little as possible to chance |
# | `toolConfig` | the tool, its fields as a JSON schema, and `toolChoice`, which forces it |

# %% id="converse"
def converse_arguments(tier, ticket):
    spec = {"name": TOOL.name, "description": TOOL.description, "inputSchema": {"json": TOOL.schema}}
    return {
        "modelId": catalog.model(tier).id,
        "system": [{"text": SYSTEM}],
        "messages": [{"role": "user", "content": [{"text": prompt(ticket)}]}],
        "inferenceConfig": {"maxTokens": 300, "temperature": 0.0},
        "toolConfig": {"tools": [{"toolSpec": spec}], "toolChoice": {"tool": {"name": TOOL.name}}},
    }

# %% id="converse-call"
responses = {tier: lab.bedrock.converse(**converse_arguments(tier, ticket)) for tier in ("nano", "sonnet")}
for tier, response in responses.items():
    usage, latency_ms = response["usage"], response["metrics"]["latencyMs"]
    tokens = f"{usage['inputTokens']} tokens in, {usage['outputTokens']} out"
    print(f"{tier:6}  ended with {response['stopReason']}, {tokens}, {latency_ms} ms ({HERE})")
print(f"Characters sent: ticket {len(prompt(ticket))}, instruction {len(SYSTEM)}, tool {len(json.dumps(TOOL.schema))}")

# %% [markdown] id="raw"
# Again only one string changed, `modelId`. The ticket is short, yet the call counts hundreds of input tokens: instruction and
# tool travel with every call, and are charged each time.
#
# Look at one whole response, because Exercise 2 reads the decision out of it. `content` is a list of *blocks*; `stopReason` says
# why the model stopped, here `tool_use`; `latencyMs` is the time by the server's clock.

# %% id="raw-response"
print(json.dumps({name: part for name, part in responses["nano"].items() if name != "ResponseMetadata"}, indent=1))

# %% [markdown] id="instructor-converse" tags=["instructor"]
# minutes: 3
# half: 2
# section: One ticket, two tiers on Bedrock
# say: The answer sits in a list of blocks. Today the list has one block. Nothing promises that it always will.
# show: toolChoice in the request, then content and toolUse in the response, then usage and stopReason.
# ask: You force the tool. What can still come back? Everyone writes a number into the next cell, then run on.
# cut: Show toolChoice and the toolUse block only.

# %% [markdown] id="predict-text"
# ## A forced tool is not always called
#
# **Predict.** The tool is forced. Of the LIMIT sample tickets (20, unless you changed it) sent to the stand-in for Nano, how many
# replies come back *without* a tool call? Up to 1 away counts as right.

# %% id="predict-text-guess"
lab.predict("replies in text", ..., within=1, confidence=...)

# %% id="samples"
tickets = list(samples.values())[:LIMIT]
nano = {ticket.id: lab.bedrock.converse(**converse_arguments("nano", ticket)) for ticket in tickets}


def has_tool_call(response):
    return any("toolUse" in block for block in response["output"]["message"]["content"])


in_text = [ticket_id for ticket_id, response in nano.items() if not has_tool_call(response)]
print(f"Replies without a tool call: {len(in_text)} of {len(nano)} ({HERE})")
lab.score("replies in text", len(in_text))

# %% id="samples-show"
for ticket_id in in_text[:1]:
    response = nano[ticket_id]
    print(f"{ticket_id} ended with {response['stopReason']}:\n")
    print(response["output"]["message"]["content"][0]["text"])
if not in_text:
    print("None with this seed and limit. The check of Exercise 2 brings one of its own.")

# %% [markdown] id="samples-explain"
# The stand-in for Nano does this on purpose, on average in one reply of eight, because small models on the real service do it
# too. (The share is made up; that it happens is not.) Such a reply holds the answer, in the text, and it was charged. If you
# throw it away and ask again, you pay twice.

# %% [markdown] id="ex2-header"
# ## Exercise 2 · 6 minutes · core · Read the decision, however it came
#
# Write `read_decision(response, ticket_id)`. It returns the decision as a dictionary:
#
# - the arguments (`input`) of the first tool call, in whichever block it stands;
# - if there is none, the JSON object in the text blocks (`{"text": "..."}`). `json_object(text)` finds it, also inside prose or a
#   code fence, and raises `InvalidAnswer` if there is none (let that through);
# - always with *your* `ticket_id`, whatever the model wrote there.
#
# Hints: `lab.hint("ex2")`.

# %% id="ex2" tags=["exercise"]
from workshop_lib.llm.parsing import json_object


def read_decision(response, ticket_id):
    blocks = response["output"]["message"]["content"]
    # <solution>
    for block in blocks:
        if "toolUse" in block:
            return {**block["toolUse"]["input"], "ticket_id": ticket_id}
    text = "".join(block.get("text", "") for block in blocks)
    return {**json_object(text), "ticket_id": ticket_id}
    # </solution>

# %% id="ex2-check"
read_decision = lab.check("ex2", read_decision)

# %% [markdown] id="ex2-why" tags=["solution-only"]
# **Why not ask again until a tool call comes?** Because the answer is already there and paid for, and at temperature 0 the same
# request tends to get the same reply. **Why not trust the model's `ticket_id`?** Because you know the id, and a model that copies
# it wrongly, or copies one that a customer wrote into the ticket, would file the decision under somebody else's ticket.

# %% id="ex2-use"
from workshop_lib.llm import InvalidAnswer

decisions, unreadable = {}, []
for ticket_id, response in nano.items():
    try:
        decisions[ticket_id] = read_decision(response, ticket_id)
    except InvalidAnswer:
        unreadable.append(ticket_id)
print(f"Read: {len(decisions)} of {len(nano)}, of which {len(set(in_text) & set(decisions))} from text.")
print(f"Unreadable: {', '.join(unreadable) or 'none'}.")
print(text_table(pd.DataFrame(list(decisions.values())[:5], columns=["ticket_id", "category", "priority", "needs_human"])))

# %% id="ex2-doubt"
allowed = TOOL.schema["properties"]["category"]["enum"]
doubtful = 0
for ticket_id, decision in decisions.items():
    missing = sorted(set(TOOL.schema["required"]) - set(decision))
    if missing or decision["category"] not in allowed:
        doubtful += 1
        print(f"{ticket_id}: missing {', '.join(missing) or 'nothing'}; category {decision.get('category')!r}")
print(f"{doubtful} of {len(decisions)} decisions lack a field or name a category that was not offered ({HERE}).")

# %% [markdown] id="ex2-after"
# A decision that can be read is not yet *valid*. The schema named eight categories and required every field; a small model may
# still leave a field out or invent a value. Lab 02 refuses such answers, and still charges them.

# %% [markdown] id="predict-tokens"
# ## Same prompt, different token count
#
# **Predict.** On Amazon Bedrock, Nano and Sonnet were sent the very same requests, for 150 tickets. How many *percent* more input
# tokens did Sonnet report? Up to 10 away counts as right.

# %% id="predict-tokens-guess"
lab.predict("more input tokens", ..., within=10, confidence=...)

# %% id="tokens-measure"
few = tickets[:5]
measured = {("nano", HERE): [nano[ticket.id]["usage"] for ticket in few]}
for tier in ("super", "sonnet"):
    measured[tier, HERE] = [lab.bedrock.converse(**converse_arguments(tier, ticket))["usage"] for ticket in few]

for (tier, source), usages in measured.items():
    print(f"{tier:6}  input tokens: {[usage['inputTokens'] for usage in usages]} ({source})")

# %% [markdown] id="ex3-header"
# ## Exercise 3 · 4 minutes · core · How many more tokens
#
# Write `input_ratio(small, large)`. Both are lists of usages, as Converse reports them, for the same prompts in the same order:
# `{"inputTokens": 561, "outputTokens": 66, "totalTokens": 627}`. Return how many times as many input tokens the large model
# counted, over all prompts together: 1.5 means 50 % more.
#
# Hints: `lab.hint("ex3")`.

# %% id="ex3" tags=["exercise"]
def input_ratio(small, large):
    # <solution>
    return sum(usage["inputTokens"] for usage in large) / sum(usage["inputTokens"] for usage in small)
    # </solution>

# %% id="ex3-check"
input_ratio = lab.check("ex3", input_ratio)

# %% [markdown] id="ex3-why" tags=["solution-only"]
# **Why not the mean of the ratios?** Because you pay for the sum of the tokens. A mean of ratios lets a ten-token prompt weigh as
# much as a thousand-token one. **Why not `totalTokens`?** Because the output is each model's own; only the input was the same.

# %% [markdown] id="ex3-after"
# Use it twice: on your own calls, and on what the two models reported on Amazon Bedrock on 2026-08-31. Those replies are stored
# with this course.

# %% id="tokens-recorded"
from workshop_lib.evaluation.recorded import recorded

rows_150 = recorded()
for tier in ("nano", "sonnet"):
    columns = {f"{tier}_input_tokens": "inputTokens", f"{tier}_output_tokens": "outputTokens"}
    measured[tier, "recorded"] = rows_150[list(columns)].rename(columns=columns).to_dict("records")

# %% id="tokens-ratio"
ratio_here = input_ratio(measured["nano", HERE], measured["sonnet", HERE])
ratio_recorded = input_ratio(measured["nano", "recorded"], measured["sonnet", "recorded"])
print("Input tokens of Sonnet against Nano:")
print(f"  {HERE}, {len(few)} tickets: {ratio_here:.2f} times, {ratio_here - 1:.0%} more")
print(f"  recorded (Bedrock, 2026-08-31), {len(rows_150)} tickets: {ratio_recorded:.2f} times, {ratio_recorded - 1:.0%} more")
lab.score("more input tokens", round(100 * (ratio_recorded - 1)), unit="%")

# %% [markdown] id="tokens-explain"
# The recorded figure is the evidence. Likely reasons: Claude cuts text into tokens of its own, and wraps a tool in a longer
# preamble. The sandbox's figure is *set* from that recording, so its agreement proves nothing.
#
# What goes wrong if you count once, on Nano, and price both tiers with that count?

# %% id="tokens-reused"
sonnet_price = catalog.model("sonnet").price
own, borrowed = [], []
for small, large in zip(measured["nano", "recorded"], measured["sonnet", "recorded"], strict=True):
    own.append(call_usd(large["inputTokens"], large["outputTokens"], sonnet_price))
    borrowed.append(call_usd(small["inputTokens"], large["outputTokens"], sonnet_price))
print("Sonnet, USD per 1,000 tickets (recorded tokens, list price):")
print(f"  with Nano's input count  {1000 * mean(borrowed):.2f}")
print(f"  with its own count       {1000 * mean(own):.2f}")
print(f"The borrowed count makes the bill {1 - mean(borrowed) / mean(own):.0%} too low.")

# %% [markdown] id="tokens-rule"
# So take each tier's usage from its own replies.

# %% [markdown] id="instructor-tokens" tags=["instructor"]
# minutes: 2
# told: ex3
# section: Same prompt, different token count
# say: A token is not a unit like a gram. Each family of models has its own. Compare dollars, never tokens.
# show: The recorded ratio first, then the sandbox's, and say why only one of the two is evidence.
# ask: Your colleague counts tokens with one tokenizer for all tiers. What is wrong with the spreadsheet?
# allow: ex3-header 1.5, 50 % (an example of the unit)

# %% [markdown] id="ex4-header"
# ## Exercise 4 · 3 minutes · core · What a month costs
#
# Write `monthly_usd(usd_per_call, calls_per_day)`: USD per month of 30 days. Think of a cheap call before you round anything.
#
# Hints: `lab.hint("ex4")`.

# %% id="ex4" tags=["exercise"]
def monthly_usd(usd_per_call, calls_per_day):
    # <solution>
    return usd_per_call * calls_per_day * 30
    # </solution>

# %% id="ex4-check"
monthly_usd = lab.check("ex4", monthly_usd)

# %% [markdown] id="ex4-why" tags=["solution-only"]
# **Why not round the call to cents first?** Because a cheap call costs a small part of a cent: rounded, it is free, and a free
# call times any volume is free. Money is rounded once, where it is printed.

# %% [markdown] id="predict-month"
# **Predict.** Same ticket, recorded tokens, list prices: how many times as much does it cost on Sonnet as on Nano? Up to 20 away
# counts as right.

# %% id="predict-month-guess"
lab.predict("sonnet against nano", ..., within=20, confidence=...)

# %% [markdown] id="month"
# **Change it.** In the next cell put your own volume in place of `CALLS_PER_DAY`, and run it again. At which volume does the
# difference between Nano and Sonnet pay for a day of an engineer's work each month?

# %% id="month-table"
calls_per_day = CALLS_PER_DAY

rows = []
for (tier, source), usages in measured.items():
    tokens_in, tokens_out = (mean(usage[key] for usage in usages) for key in ("inputTokens", "outputTokens"))
    usd = call_usd(tokens_in, tokens_out, catalog.model(tier).price)
    row = {"tier": tier, "tokens from": source, "tickets": len(usages), "in": tokens_in, "out": tokens_out}
    rows.append(row | {"usd_per_1000": 1000 * usd, "usd_a_month": monthly_usd(usd, calls_per_day)})
bills = pd.DataFrame(rows)
print(f"{calls_per_day:,} tickets a day, list prices")
print(text_table(bills, {"in": 0, "out": 0, "usd_per_1000": 2, "usd_a_month": 2}))

# %% id="month-sentence"
usd = bills.set_index(["tier", "tokens from"])["usd_per_1000"]
for source in bills["tokens from"].unique():
    print(f"{source} tokens: a ticket costs {usd['sonnet', source] / usd['nano', source]:.0f} times as much on Sonnet as on Nano")
lab.score("sonnet against nano", round(usd["sonnet", "recorded"] / usd["nano", "recorded"]), unit="times")

# %% [markdown] id="month-explain"
# The recorded tickets were sent with another prompt and drew other answers, so their token counts are higher. Nobody recorded
# Super. With either source Sonnet costs far more than Nano, and a cascade can save only because of that difference.

# %% [markdown] id="instructor-month" tags=["instructor"]
# minutes: 2
# half: 1
# told: ex4
# section: What a month costs
# say: A ticket costs many times as much on Sonnet as on Nano. A cascade can save only because of that difference.
# show: The table, first the recorded rows, then the two lines below it.
# ask: Name your own volume. Change calls_per_day and read out your bill.
# cut: Read out the two lines below the table.

# %% [markdown] id="meter-read"
# And this lab's own bill, up to here? The server on this machine kept count. The sum at the top of the lab is higher: it takes
# recorded token counts, and *Going further* with them.

# %% id="meter"
lab.meter()

# %% [markdown] id="takeaways"
# ## What to remember
#
# - To call another tier you change the model string. The bill changes with it.
# - Cost is input tokens times the input price plus output tokens times the output price. Output tokens cost several times as
#   much.
# - Every tier counts its own tokens. Take usage from each reply, and compare dollars.
# - A forced tool is not a promise. Read every block, then the text, and keep your own ticket id.
# - A number has a source: sandbox, recorded, published. A price does too: list or proxy.

# %% [markdown] id="recall"
# ## Can you still say it?
#
# <details><summary>1. Which two numbers of a reply do you need for its cost, and why not their sum?</summary>
# Input and output tokens. Each direction has its own price, so there is no price for their sum.
# </details>
#
# <details><summary>2. The tool is forced, the reply is text. What do you do, and who pays?</summary>
# Look for the JSON object in the text and use it. The reply was charged either way.
# </details>
#
# <details><summary>3. From before this lab: what is a token, and why can two models count one text differently?</summary>
# A piece of text, often part of a word. Each family of models cuts text in its own way, and wraps tools in its own preamble.
# </details>

# %% [markdown] id="instructor-close" tags=["instructor"]
# minutes: 2
# half: 1
# section: Close
# say: You can now price any call. Next: can you believe what the cheap tier says about itself?
# show: The meter's line. That is what the lab up to here would have cost live.
# ask: The three recall questions, books closed.
# cut: One recall question, the second.

# %% [markdown] id="further"
# ## Going further
#
# None of this is counted in the minutes above, and no later lab needs it. Take what interests you: which direction of a bill to
# cut, cached prompts and batches, requests that one tier refuses, calls that report no usage, streams, and a ticket of your own.

# %% [markdown] id="directions"
# ### Which direction costs more
#
# How much of each bill is output? Take the recorded tokens of the month's table and split the bill.

# %% id="month-parts"
parts = []
for row in bills[bills["tokens from"] == "recorded"].to_dict("records"):
    price = catalog.model(row["tier"]).price
    into, out = 1000 * call_usd(row["in"], 0, price), 1000 * call_usd(0, row["out"], price)
    shares = {"out_share_of_tokens": row["out"] / (row["in"] + row["out"]), "out_share_of_bill": out / (into + out)}
    parts.append({"tier": row["tier"], "input_usd": into, "output_usd": out, **shares})
parts = pd.DataFrame(parts)

nano_bill, sonnet_bill = parts["input_usd"] + parts["output_usd"]
sonnet_parts = parts.iloc[1]
caption = (
    f"1,000 tickets (recorded tokens, list prices) cost {nano_bill:.2f} USD on Nano and {sonnet_bill:.2f} USD on Sonnet. "
    f"Output is {sonnet_parts['out_share_of_tokens']:.0%} of Sonnet's tokens and {sonnet_parts['out_share_of_bill']:.0%} of its bill."
)

# %% id="month-figure"
from workshop_lib.evaluation.figures import COLOURS, HATCHES, figure


def draw(axes):
    axes.barh(parts["tier"], parts["input_usd"], color=COLOURS[5], edgecolor="black")
    style = {"color": COLOURS[1], "edgecolor": "black", "hatch": HATCHES[1]}
    axes.barh(parts["tier"], parts["output_usd"], left=parts["input_usd"], **style)
    for place, total in enumerate((nano_bill, sonnet_bill)):
        axes.text(total + 0.1, place, f"{total:.2f} USD", va="center")
    box = {"facecolor": "white", "edgecolor": "none", "pad": 2}
    axes.text(sonnet_parts["input_usd"] / 2, 1, "input", ha="center", va="center", bbox=box)
    axes.text(sonnet_parts["input_usd"] + sonnet_parts["output_usd"] / 2, 1, "output", ha="center", va="center", bbox=box)
    axes.set(xlim=(0, 1.25 * sonnet_bill), xlabel="USD per 1,000 tickets")


figure(draw, title="What 1,000 tickets cost, by direction", caption=caption, table=parts, size=(6.4, 2.8))

# %% [markdown] id="month-after"
# Input is the larger part of both bills, but output costs much more than its share of the tokens, because its price is higher. So
# asking for shorter answers saves more than the token count suggests.

# %% [markdown] id="instructor-directions" tags=["instructor"]
# minutes: 0
# section: Going further: which direction costs more
# say: Count dollars by direction. A token cut from the answer saves several times what a token cut from the prompt saves.
# show: The figure, then the two shares in its caption.

# %% [markdown] id="caching"
# ### Prompt caching and batch prices
#
# Say each request begins with the same solved examples. Put a **`cachePoint`** behind them: the first call *writes* that
# beginning to a cache on the server, later calls *read* it. On Sonnet, writing costs more than plain input, reading much less
# (you see both prices below).
#
# **Predict.** All calls so far added up, from which call on is the input cheaper with the cache than without? Write a whole
# number.

# %% id="caching-guess"
lab.predict("caching pays from call", ..., within=0, confidence=...)

# %% id="caching-request"
from time import time_ns

EXAMPLES = 19  # solved tickets in the prompt, 1 to 19; try 1

others = [entry for entry in load_tickets("samples") if entry.ticket.id != ticket.id]
solved = [f"{prompt(entry.ticket)}\nCategory: {entry.label.category}" for entry in others[:EXAMPLES]]
edition = f"{time_ns() % 10**12:012}"  # new in each run, else a second run would find what the first one wrote
beginning = "\n\n".join([SYSTEM, f"Solved examples, edition {edition}", *solved])
system = [{"text": beginning}, {"cachePoint": {"type": "default"}}]
cached = [lab.bedrock.converse(**converse_arguments("sonnet", ticket) | {"system": system})["usage"] for _ in range(3)]
print("The first call:", {name: count for name, count in cached[0].items() if name.endswith("nputTokens")})

# %% id="caching-bill"
rows, plain_usd, cached_usd, pays_from = [], 0.0, 0.0, None
for number, usage in enumerate(cached, start=1):
    write, read, rest = usage.get("cacheWriteInputTokens", 0), usage.get("cacheReadInputTokens", 0), usage["inputTokens"]
    plain_usd += sonnet_price.usd(write + read + rest, 0)
    cached_usd += sonnet_price.usd(rest, 0, cache_read=read, cache_write=write)
    if pays_from is None and cached_usd < plain_usd:
        pays_from = number
    row = {"call": number, "inputTokens": rest, "write": write, "read": read}
    rows.append(row | {"plain_usd": plain_usd, "cached_usd": cached_usd})
print(f"Input only, calls so far added up ({HERE} tokens, list prices)")
print(text_table(pd.DataFrame(rows)))
if pays_from is None:
    print("The cache did not pay in these calls.")
else:
    lab.score("caching pays from call", pays_from)

# %% [markdown] id="caching-read"
# - `inputTokens` no longer holds the cached tokens. Your `call_usd`, given that count, would leave most of the input out.
# - **Change it.** `EXAMPLES = 1`: a beginning below Sonnet's minimum of 1,024 tokens is not cached. No error says so, only the
#   usage.
# - What changes belongs *behind* the point. With a date in front of it, each call writes anew, which costs more than no cache.
# - By default the cache lives for five minutes after its last use. A tier that is asked once an hour would only ever write.

# %% id="cheaper-prices"
rows = []
for tier in ("nano", "super", "sonnet", "opus"):
    price = catalog.model(tier).price
    row = {"tier": tier, "in": price.input, "cache write": price.cache_write, "cache read": price.cache_read}
    rows.append(row | {"batch in": price.batch_input, "out": price.output, "batch out": price.batch_output})
print("USD per million tokens, list prices")
print(text_table(pd.DataFrame(rows), dict.fromkeys(rows[0], 3)))

# %% [markdown] id="batch-read"
# In a **batch** you hand in a file of requests and fetch the answers when the job is done, which may take hours. The price is
# half, where there is one. A dash says that the sources of this table name no such price, not that there is none.
#
# A cascade in batches waits twice: the second tier's file can be written only when the first tier's answers are back.

# %% [markdown] id="instructor-caching" tags=["instructor"]
# minutes: 0
# section: Going further: prompt caching and batch prices
# say: A cache is a bet that the next call comes within five minutes and begins with the same words.
# show: The columns write and read, then the row where cached_usd falls below plain_usd.
# ask: Which tier of a cascade is asked often enough for a cache? (The first sees every ticket, the last only what escalates.)

# %% [markdown] id="refusals"
# ### Three requests, two refusals
#
# Some requests work on one tier and fail on the next. Here are two common cases. Each error is caught and printed as one line.

# %% id="refusals-run"
from botocore.exceptions import ClientError


def attempt(what, **changed):
    try:
        lab.bedrock.converse(**{**converse_arguments("opus", ticket), **changed})
        print(f"{what}: answered")
    except ClientError as error:
        print(f"{what}: {error.response['Error']['Code']}: {error.response['Error']['Message']}")


attempt("Opus with temperature")
attempt("Opus without temperature", inferenceConfig={"maxTokens": 300})
attempt("Sonnet without us.", modelId=catalog.model("sonnet").id.removeprefix("us."))

# %% [markdown] id="refusals-explain"
# - Opus 4.7 takes no `temperature` (how much chance goes into the choice of words), not even 0. That depends on the model, so the
#   model table says it.
# - The Claude models are called through an **inference profile**, the id with `us.` in front. Bedrock knows the id without it,
#   but refuses the call.
#
# Neither is worth a retry: the same request would be refused again. `lab.ask("opus", ...)` reads the table and leaves the
# temperature out.

# %% [markdown] id="instructor-refusals" tags=["instructor"]
# minutes: 0
# section: Going further: three requests, two refusals
# say: Both errors are about the request, so both are final. Retrying them is the commonest way to waste a quota.
# show: The two error codes; they are the same, ValidationException.
# ask: Where should the knowledge "this model takes no temperature" live? (In one table, not in ten call sites.)
# allow: ex5-why 0.42 USD (an example of a sentence)

# %% [markdown] id="ex5-header"
# ### Exercise 5 · 5 minutes · stretch · When usage is missing
#
# A stream that was cut, a timeout, a server that leaves counts out: sometimes there is no usage, and you are still charged. Write
# `bill(usages, price)`. Return two things: the USD that are known, and `True` if no count was missing, else `False`. A usage may
# be `None` or lack a count. Such a call adds nothing and makes the bill incomplete. Your `call_usd` may help.
#
# Hints: `lab.hint("ex5")`.

# %% id="ex5" tags=["exercise"]
def bill(usages, price):
    # <solution>
    usd, complete = 0.0, True
    for usage in usages:
        if usage is None or "inputTokens" not in usage or "outputTokens" not in usage:
            complete = False
        else:
            usd += call_usd(usage["inputTokens"], usage["outputTokens"], price)
    return usd, complete
    # </solution>

# %% id="ex5-check"
bill = lab.check("ex5", bill)

# %% [markdown] id="ex5-why" tags=["solution-only"]
# **Why not count a missing usage as zero?** Because the sum would look exact and be too low, and the tier that fails most often
# would look cheapest. "At least 0.42 USD" is a true statement; "0.42 USD" is not. The library keeps both parts together in
# `Cost(usd, complete)`.

# %% id="ex5-use"
from workshop_lib.llm import price as library_price

usages = [*measured["sonnet", HERE], None]
usd, complete = bill(usages, sonnet_price)
print(f"{len(usages)} calls, one without usage: {'' if complete else 'at least '}{usd:.6f} USD")
print("The library says of a call without usage:", library_price(catalog.model("sonnet"), None))

# %% [markdown] id="stream"
# ### Streams and the time to the first token
#
# A stream brings the answer in pieces, for the same price: the reader begins to read while the model still writes. Usage comes
# with the last event. So what does a stream report if you leave it early?

# %% id="stream-bedrock"
from time import perf_counter


def streamed(tier, stop_after=None):
    """Return the pieces of a streamed answer, the closing metadata, and the seconds until the first piece came."""
    messages = [{"role": "user", "content": [{"text": question}]}]
    request = {"modelId": catalog.model(tier).id, "messages": messages, "inferenceConfig": {"maxTokens": 120}}
    began, pieces, metadata, first_s = perf_counter(), [], {}, None
    stream = lab.bedrock.converse_stream(**request)["stream"]
    for event in stream:
        if "contentBlockDelta" in event:
            first_s = first_s or perf_counter() - began
            pieces.append(event["contentBlockDelta"]["delta"]["text"])
        metadata = event.get("metadata", metadata)
        if len(pieces) == stop_after:
            stream.close()
            break
    return pieces, metadata, first_s

# %% id="stream-bedrock-run"
usages = []
for stop_after in (None, 2):
    pieces, metadata, first_s = streamed("sonnet", stop_after)
    usages.append(metadata.get("usage"))
    print(f"{len(pieces)} pieces read, the first of them {pieces[:2]}")
    print(f"  usage {usages[-1]} ({HERE})")
    if HERE == "live":  # on this machine all pieces come at once, which says nothing
        print(f"  first piece after {first_s:.2f} s")
usd, complete = bill(usages, sonnet_price)
print(f"Both streams: {'' if complete else 'at least '}{usd:.6f} USD")

# %% [markdown] id="stream-chat"
# No usage, though the model read the prompt and had begun to write. That is why Exercise 5 returns two things. With the `openai`
# client you say `stream=True`, and the usage does not come at all unless you ask for it.

# %% id="stream-chat-run"
for options in ({}, {"stream_options": {"include_usage": True}}):
    messages = [{"role": "user", "content": question}]
    arguments = {"model": catalog.model("nim-8b").id, "messages": messages, "max_tokens": 120, "stream": True}
    chunks = list(lab.openai.chat.completions.create(**arguments, **options))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    found = next((chunk.usage for chunk in chunks if chunk.usage), None)
    counts = "none" if found is None else f"{found.prompt_tokens} in, {found.completion_tokens} out"
    print(f"{', '.join(options) or 'no options'}: {len(text)} characters, usage: {counts} ({HERE})")

# %% [markdown] id="first-token"
# How long until the first token? The latency model of this course has two parts: a fixed one, and one for each token. The first
# token comes after the fixed part. **Change** `TOKENS_OUT`, the length of an answer.

# %% id="first-token-table"
TOKENS_OUT = 150


def ms_until(tier, token):
    latency = catalog.model(tier).latency
    return latency.intercept_ms + latency.per_output_token_ms * token


quick, slow = ((ms_until(tier, 1), ms_until(tier, TOKENS_OUT)) for tier in ("nano", "sonnet"))
waits = {"nano": quick, "sonnet": slow}
waits["cascade, kept"] = (quick[1], quick[1])
waits["cascade, escalated"] = (quick[1] + slow[0], quick[1] + slow[1])
rows = [{"answered by": who, "first_token_ms": first, "whole_ms": whole} for who, (first, whole) in waits.items()]
print(text_table(pd.DataFrame(rows)))
print(f"{TOKENS_OUT} tokens out, computed. Nano and Sonnet: {catalog.model('sonnet').latency.source}")

# %% [markdown] id="first-token-read"
# These are estimates: a line through the times of whole answers, not measured on streams. What `metadata` calls `latencyMs` is
# the whole answer's time by the server's clock, in the sandbox a modelled one. Live, `first_s` above measures the first piece on
# your side of the network.
#
# A cascade cannot show its first tier's pieces: the gate has to see the whole answer before it lets anything out. Only the last
# tier can stream. And a decision in a forced tool cannot be used before its last bracket, so for tickets a stream gains nothing.

# %% [markdown] id="instructor-stream" tags=["instructor"]
# minutes: 0
# section: Going further: streams and the time to the first token
# say: A stream shortens the wait for the first word, never the bill.
# show: The stream that was left early and its usage, None. Then the two rows of the cascade.
# ask: Which answers of your product does a person read while they are written, and which does a program read?

# %% [markdown] id="playground"
# ### Playground
#
# Your own ticket, two tiers. Change the text and run the cell again. Make it short, or angry, or describe two problems at once.
# In the sandbox the stand-ins answer, so a strange decision says nothing about the vendors' models.

# %% id="playground-run"
from workshop_lib.tasks import Ticket

body = "Since this morning the export button is missing for our whole team. We need the report by noon."
mine = Ticket(id="MINE-1", subject="Export is gone", body=body)
for tier in ("nano", "sonnet"):
    response = lab.bedrock.converse(**converse_arguments(tier, mine))
    decision, usage = read_decision(response, mine.id), response["usage"]
    usd = call_usd(usage["inputTokens"], usage["outputTokens"], catalog.model(tier).price)
    shown = ", ".join(f"{name} {decision.get(name)}" for name in ("category", "priority", "confidence"))
    print(f"{tier:6}  {shown}, {usd:.6f} USD ({HERE})")

# %% [markdown] id="next"
# ## What next
#
# Each decision carries a confidence. A cascade would act on it: keep the cheap answer if it is sure, else ask the expensive tier.
# [Lab 02](../02_confidence/lab.ipynb) asks whether that number means anything. The [start page](../../START.ipynb) lists all
# labs.

# %% id="progress"
lab.progress()
