"""The room: a key before anything else, learners apart from each other, and a board that can be erased."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from workshop_lib import catalog
from workshop_lib.sandbox.room import entry, members
from workshop_lib.sandbox.room.entry import Keys
from workshop_lib.sandbox.room.members import Members, Report
from workshop_lib.sandbox.server import Sandbox

KEYS = Keys("joinkey2", "instructorkey234")
HERE = "10.0.0.5"
ASK = {"messages": [{"role": "user", "content": [{"text": "What is 2 + 2?"}]}]}
CONVERSE = f"/model/{catalog.model('nano').id}/converse"
SIGNED = {"Authorization": "Bearer any"}
Client = httpx.AsyncClient


def inside(work: Callable[[Client], Awaitable[Any]], people: Members | None = None, address: str = HERE, host: str = f"http://{HERE}:8000") -> Any:
    """Return what some requests to a room bring."""

    async def run() -> Any:
        room = entry.app(people or Members(Sandbox), KEYS, address)
        async with Client(transport=httpx.ASGITransport(room), base_url=host) as client:
            return await work(client)

    return asyncio.run(run())


def report(exercise: str = "ex1", state: str = "correct") -> dict[str, str]:
    """Return a report of an exercise of lab 01."""
    return {"lab": "01_call_tiers", "exercise": exercise, "state": state}


def test_both_protocols_work_under_the_learners_address_and_nowhere_else() -> None:
    """Without it boto3 or openai could not be used unchanged, or without the key."""

    async def work(client: Client) -> None:
        me = entry.path_of(KEYS.join, "José & Co/9")
        assert (await client.post(me + CONVERSE, json=ASK, headers=SIGNED)).json()["stopReason"] == "end_turn"
        chat = {"model": catalog.model("nim-8b").id, "messages": [{"role": "user", "content": "What is 2 + 2?"}]}
        assert (await client.post(f"{me}/v1/chat/completions", json=chat, headers=SIGNED)).status_code == 200
        assert (await client.get(f"{me}/v1/models", headers=SIGNED)).status_code == 200
        for path in (CONVERSE, "/v1/models", "/sandbox/ledger", "/sandbox/faults", "/", f"/room/wrong/Ada{CONVERSE}", f"/room/{KEYS.join}", "/room//x/"):
            answer = await client.get(path, headers=SIGNED)
            assert answer.status_code in (400, 403)
            assert answer.json()["message"].count("\n") == 0
        assert (await client.post(f"/room/wrong/Ada{CONVERSE}", json=ASK, headers=SIGNED)).headers["x-amzn-errortype"] == "AccessDeniedException"
        assert (await client.get("/health")).json() == {"status": "ok", "service": "cascade-workshop-room"}

    inside(work)


def test_who_opens_the_join_address_in_a_browser_is_told_what_to_do_with_it() -> None:
    """Without it a learner with the right key would read that the room does not know it."""

    async def work(client: Client) -> None:
        for path in ("/", f"/{KEYS.join}", "/index.html"):
            answer = await client.get(path)
            assert answer.status_code == 403
            assert "workshop join" in answer.json()["message"]
            assert KEYS.join not in answer.text
        assert "does not know that key" in (await client.get("/room/wrong/Ada/hello")).json()["message"]

    inside(work)


def test_learners_have_ledgers_and_faults_of_their_own_and_the_same_answers() -> None:
    """Without it one learner's throttling lab would stop the whole class, or screens would differ from the projector's."""

    async def work(client: Client) -> None:
        ada, bob = (entry.path_of(KEYS.join, name) for name in ("Ada", "Bob"))
        first = (await client.post(ada + CONVERSE, json=ASK, headers=SIGNED)).json()
        assert (await client.post(f"{ada}/sandbox/faults", json={"error_rate": 1, "kind": "throttled"})).status_code == 200
        assert (await client.post(ada + CONVERSE, json=ASK, headers=SIGNED)).status_code == 429
        assert (await client.post(bob + CONVERSE, json=ASK, headers=SIGNED)).json() == first
        counted = [(await client.get(f"{who}/sandbox/ledger")).json()["total"]["attempts"] for who in (ada, bob)]
        assert counted == [2, 1]

    inside(work)


def test_the_board_shows_what_was_passed_and_keeps_it() -> None:
    """Without it a check that is run again with a blank would take a pass away, or the board would show something else than the checks said."""

    async def work(client: Client) -> None:
        ada, bob = (entry.path_of(KEYS.join, name) for name in ("ada", "Bob"))
        for who, body in ((ada, report("ex2", "not yet")), (ada, report()), (ada, report(state="not attempted")), (bob, report("ex2"))):
            assert (await client.post(f"{who}/report", json=body)).json() == {"noted": True}
        board = (await client.get(f"{entry.BOARD}/data", headers={"x-room-key": KEYS.join})).json()
        assert board == {
            "exercises": [{"lab": "01_call_tiers", "exercise": "ex1"}, {"lab": "01_call_tiers", "exercise": "ex2"}],
            "learners": [{"name": "ada", "states": ["correct", "not yet"]}, {"name": "Bob", "states": [None, "correct"]}],
            "instructor": False,
        }

    inside(work)


def test_only_the_instructor_erases_and_then_nothing_is_left() -> None:
    """Without it a learner could wipe the board, or names would outlive the wish to forget them."""
    people = Members(Sandbox)

    async def work(client: Client) -> None:
        await client.post(f"{entry.path_of(KEYS.join, 'Ada')}/report", json=report())
        data = f"{entry.BOARD}/data"
        for headers in ({}, {"x-room-key": "wrong"}, {"x-room-key": "ü".encode()}):
            assert (await client.get(data, headers=headers)).status_code == 403
        assert (await client.request("DELETE", data, headers={"x-room-key": KEYS.join})).status_code == 403
        assert (await client.request("DELETE", data, headers={"x-room-key": KEYS.instructor})).json() == {"erased": 1}
        assert (await client.get(data, headers={"x-room-key": KEYS.instructor})).json() == {"exercises": [], "learners": [], "instructor": True}

    inside(work, people)
    assert len(people) == 0


def test_what_is_not_a_report_is_refused() -> None:
    """Without it the board could be filled with anything, or keep more of a learner than it says."""

    async def work(client: Client) -> None:
        path = f"{entry.path_of(KEYS.join, 'Ada')}/report"
        for body in ({}, report(state="great"), {**report(), "answer": "my code"}, report("x" * 33), {**report(), "lab": ""}):
            assert (await client.post(path, json=body)).status_code == 400
        assert (await client.post(path, content=b" " * 5000)).status_code == 413
        assert (await client.get(path)).status_code == 405

    inside(work)


def test_a_full_room_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a script with the key could fill the memory with names."""
    monkeypatch.setattr(members, "MOST_LEARNERS", 1)
    people = Members(Sandbox)
    assert people.find("Ada") is not None
    assert not people.report("Bob", Report(**report()))

    async def work(client: Client) -> None:
        for path in (CONVERSE, "/hello"):
            answer = await client.post(entry.path_of(KEYS.join, "Bob") + path, json=ASK, headers=SIGNED)
            assert answer.status_code == 503
            assert "workshop leave" in answer.json()["message"]

    inside(work, people)


@pytest.mark.parametrize(("name", "wrong"), [("Ada", None), ("由紀", None), (" Ada", "space"), ("", "letters"), ("x" * 41, "40"), ("a\x00b", "printable"), ("a\u202eb", "printable")])
def test_names_are_bounded_and_printable(name: str, wrong: str | None) -> None:
    """Without it a name could break the board's layout or hide another one."""
    found = members.name_problem(name)
    assert (found is None) == (wrong is None)
    assert wrong is None or wrong in (found or "")


@pytest.mark.parametrize(
    ("address", "host", "status"),
    [
        (HERE, "http://10.0.0.5:8000", 200),
        (HERE, "http://localhost:8000", 200),
        (HERE, "http://10.0.0.6:8000", 403),
        (HERE, "http://evil.example.com", 403),
        ("0.0.0.0", "http://192.168.1.7:8000", 200),
        ("0.0.0.0", "http://evil.example.com", 403),
    ],
)
def test_the_host_header_must_name_the_room(address: str, host: str, status: int) -> None:
    """Without it a web page that had its own name point at the instructor's machine could read the board."""

    async def work(client: Client) -> int:
        return (await client.get(entry.BOARD)).status_code

    assert inside(work, address=address, host=host) == status


def test_the_page_comes_without_a_key_and_without_anybodys_name() -> None:
    """Without it the page could not ask for the key, or would show names to who has none."""

    async def work(client: Client) -> httpx.Response:
        await client.post(f"{entry.path_of(KEYS.join, 'Ada')}/report", json=report())
        return await client.get(entry.BOARD)

    answer = inside(work)
    assert answer.headers["content-type"].startswith("text/html")
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert "Ada" not in answer.text


def test_new_keys_differ_and_can_be_read_out() -> None:
    """Without it two classes could share a key, or a learner could misread an l for a 1."""
    one, other = Keys.drawn(), Keys.drawn()
    assert one != other
    assert one.joins(one.join)
    assert not one.joins(one.instructor)
    assert one.instructs(one.instructor)
    assert not set("il1o0") & set(one.join + one.instructor)
