"""A receiver that fails, hangs, drips, closes the connection and recovers hears of each alarm once."""

import json
import logging
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pandas as pd
import pytest

from offbeat.errors import NotificationError, ParamsError
from offbeat.operation.alarms import Alarm
from offbeat.operation.notification import Webhook, deliver, message_text
from offbeat.operation.store import Store

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def after(seconds):
    return NOW + timedelta(seconds=seconds)


@pytest.fixture
def raise_alarms(new_scores):
    """Raise alarms, each in a timestep of its own; return their ids."""

    def raise_alarms(store, *rows):
        return [store.write(new_scores([row * 100], [2]), NOW).alarms[0] for row in rows]

    return raise_alarms


@pytest.fixture
def heard():
    """What a sender was given: each message's key and alarm ids; it fails while `heard.fails` holds words."""

    class Heard(list):
        fails = ""

        def __call__(self, alarms, key):
            self.append((key, [alarm.id for alarm in alarms]))
            if self.fails:
                raise NotificationError(self.fails)

    return Heard()


# --- the outbox -------------------------------------------------------------------------------------------------------


def test_new_alarms_go_in_one_message_once(store, raise_alarms, heard):
    ids = raise_alarms(store, 1, 2, 3)
    delivered = deliver(store, heard, NOW)
    assert (delivered.n_sent, delivered.n_waiting, delivered.problem) == (3, 0, "")
    assert deliver(store, heard, after(10_000)).n_sent == 0
    assert [alarms for _, alarms in heard] == [ids]


def test_alarms_that_come_soon_after_a_message_wait_and_go_together(store, raise_alarms, heard):
    raise_alarms(store, 1)
    deliver(store, heard, NOW, min_interval_s=300)
    more = raise_alarms(store, 2)
    assert deliver(store, heard, after(299), min_interval_s=300).n_waiting == 1
    more += raise_alarms(store, 3)
    assert deliver(store, heard, after(300), min_interval_s=300).n_sent == 2
    assert heard[1][1] == more


def test_an_alarm_that_runs_on_is_not_told_of_again(store, new_scores, heard):
    store.write(new_scores([0], [2]))
    deliver(store, heard, NOW)
    store.write(new_scores([1], [3]))
    assert deliver(store, heard, after(10_000)).n_sent == 0


def test_an_alarm_that_became_part_of_another_is_not_told_of(store, new_scores, heard):
    first, _ = store.write(new_scores([0, 1, 2, 4, 5, 6], [2, 0, 0, 0, 0, 2])).alarms
    store.write(new_scores([3], [2]))
    deliver(store, heard, NOW)
    assert heard[0][1] == [first]


def test_a_failed_message_goes_again_as_it_was_after_ever_longer_waits(store, raise_alarms, heard):
    ids, heard.fails = raise_alarms(store, 1, 2), "it is down"
    tried, now = [], 0
    while now < 400:
        delivered = deliver(store, heard, after(now), backoff_s=30, longest_backoff_s=100)
        if delivered.problem:
            assert (delivered.n_sent, delivered.problem) == (0, "it is down")
            tried.append(now)
        now += 10
    assert tried == [0, 30, 90, 190, 290, 390]  # 30, 60, then 100 each
    heard.fails = ""
    assert deliver(store, heard, after(490)).n_sent == 2
    assert set(map(str, heard)) == {str((heard[0][0], ids))}


def test_new_alarms_wait_for_a_message_that_failed_and_make_the_next(store, raise_alarms, heard):
    ids, heard.fails = raise_alarms(store, 1), "it is down"
    deliver(store, heard, NOW, backoff_s=30)
    more, heard.fails = raise_alarms(store, 2), ""
    assert deliver(store, heard, after(29)).n_waiting == 2
    assert deliver(store, heard, after(30), min_interval_s=300).n_sent == 1
    assert deliver(store, heard, after(330), min_interval_s=300).n_sent == 1
    assert [alarms for _, alarms in heard] == [ids, ids, more]
    assert heard[0][0] == heard[1][0] != heard[2][0]


def test_a_message_that_failed_five_times_no_longer_holds_up_new_alarms(store, raise_alarms, heard):
    ids, told = raise_alarms(store, 1), []

    def refuses_the_first(alarms, key):
        heard(alarms, key)
        if alarms[0].id == ids[0]:
            raise NotificationError("too long")
        told.extend(alarm.id for alarm in alarms)

    for now in (0, 30, 90, 210):  # 30, 60, 120 s after the last
        assert deliver(store, refuses_the_first, after(now), backoff_s=30).problem
    more = raise_alarms(store, 2)
    assert deliver(store, refuses_the_first, after(449)).n_waiting == 2  # the fifth attempt is due in a second
    assert deliver(store, refuses_the_first, after(450)).problem
    assert deliver(store, refuses_the_first, after(460)).n_sent == 1
    more += raise_alarms(store, 3)
    assert deliver(store, refuses_the_first, after(760), min_interval_s=300).n_sent == 1
    assert told == more
    assert deliver(store, refuses_the_first, after(929)).problem == ""
    assert deliver(store, refuses_the_first, after(930)).problem  # 480 s after its fifth attempt
    assert deliver(store, heard, after(10_000)).n_sent == 1
    assert len({key for key, alarms in heard if alarms == ids}) == 1


def test_a_message_that_kills_its_sender_time_after_time_does_not_hold_up_new_alarms(store, raise_alarms, heard):
    def die(*_):
        raise KeyboardInterrupt

    raise_alarms(store, 1)
    for k in range(5):
        with pytest.raises(KeyboardInterrupt):
            deliver(store, die, after(120 * k), claim_s=120)
    more = raise_alarms(store, 2)
    assert deliver(store, heard, after(500)).n_sent == 1
    assert heard[0][1] == more


def test_messages_that_failed_five_times_take_turns(store, raise_alarms, heard):
    heard.fails, ids = "it is down", []
    for k in range(2):
        ids += raise_alarms(store, k)
        for attempt in range(5):
            deliver(store, heard, after(10_000 * k + 100 * attempt), longest_backoff_s=100)
    del heard[:]
    for k in range(4):
        deliver(store, heard, after(30_000 + k), longest_backoff_s=2)
    assert [alarms for _, alarms in heard] == [[ids[0]], [ids[1]], [ids[0]], [ids[1]]]


def test_a_message_holds_at_most_a_hundred_alarms_and_the_next_one_the_rest(store, raise_alarms, heard):
    ids = raise_alarms(store, *range(203))
    delivered = [deliver(store, heard, after(300 * k), min_interval_s=300) for k in range(4)]
    assert [(one.n_sent, one.n_waiting) for one in delivered] == [(100, 103), (100, 3), (3, 0), (0, 0)]
    assert [alarms for _, alarms in heard] == [ids[:100], ids[100:200], ids[200:]]


def test_two_deliverers_never_send_the_same(url, raise_alarms, heard):
    with Store(url) as store, Store(url) as other:
        raise_alarms(store, 1)

        def send_slowly(alarms, key):
            heard(alarms, key)
            raise_alarms(store, 2)
            assert deliver(other, heard, after(100), claim_s=120).n_sent == 0

        assert deliver(store, send_slowly, NOW, claim_s=120).n_sent == 1
        assert len(heard) == 1


def test_a_message_whose_sender_was_killed_goes_again_under_its_key_when_the_claim_is_over(store, raise_alarms, heard):
    ids = raise_alarms(store, 1)

    def die(alarms, key):
        heard(alarms, key)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        deliver(store, die, NOW, claim_s=120)
    raise_alarms(store, 2)
    assert deliver(store, heard, after(119)).n_waiting == 2
    assert deliver(store, heard, after(120)).n_sent == 1
    assert heard[0] == heard[1] == (heard[0][0], ids)


# --- words ------------------------------------------------------------------------------------------------------------


def alarm(number, ratio=2.0, first=None):
    first = first or pd.Timestamp("2026-02-24 11:20", tz="UTC")
    weights = {"flow": 1.0, "temp": 6.0, "speed": 3.0}
    return Alarm(number, "pump-6", first, first, 1, 8.0, ratio, weights, "v1", NOW)


def test_a_message_says_which_machine_since_when_how_strong_which_channels_and_what_to_do():
    text = message_text([alarm(7, 3.14)])
    for words in (
        "pump-6",
        "since 2026-02-24 11:20:00 UTC",
        "3.1 times the threshold",
        "temp 60%",
        "[alarm 7]",
        "offbeat alarms",
        "offbeat feedback ID true|false|expected",
    ):
        assert words in text
    assert "speed" not in text


def test_a_message_of_many_alarms_names_the_strongest_and_counts_the_others():
    text = message_text([alarm(number, ratio=number) for number in range(1, 51)])
    assert text.startswith("50 new alarms")
    assert "[alarm 50]" in text
    assert "[alarm 31]" in text
    assert "[alarm 30]" not in text
    assert "and 30 more" in text


# --- a receiver -------------------------------------------------------------------------------------------------------


@pytest.fixture
def receiver():
    """A receiver on loopback that does in turn what `receiver.next` says, then accepts; `.got` is what it accepted."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            what = server.next.pop(0) if server.next else "accept"
            server.asked.append((what, self.headers["Idempotency-Key"]))
            if what.startswith("accept"):
                server.got.append((self.headers["Idempotency-Key"], json.loads(body)))
            if what == "hang":
                server.over.wait(20)
            elif what == "drip":
                with suppress(OSError):
                    while not server.over.wait(0.05):
                        self.wfile.write(b"H")
            elif what in ("close", "accept and close"):
                self.close_connection = True
            else:
                self.send_response({"accept": 204}.get(what) or int(what))
                self.send_header("Location", "http://127.0.0.1:1/elsewhere")
                self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads, server.next, server.asked, server.got = False, [], [], []
    server.over = threading.Event()
    server.url = f"http://127.0.0.1:{server.server_port}/hooks/hush?token=hush"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.over.set()
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_webhook_posts_key_text_and_alarms(receiver):
    Webhook(receiver.url)([alarm(7), alarm(8, ratio=float("inf"))], "k1")
    [(key, body)] = receiver.got
    assert (key, body["key"]) == ("k1", "k1")
    assert body["text"] == message_text([alarm(7), alarm(8, ratio=float("inf"))])
    assert body["alarms"][0] == {
        "id": 7,
        "asset": "pump-6",
        "first": "2026-02-24T11:20:00+00:00",
        "last": "2026-02-24T11:20:00+00:00",
        "n_timesteps": 1,
        "peak_score": 8.0,
        "peak_ratio": 2.0,
        "channels": [{"channel": "temp", "share": 0.6}],
        "model": "v1",
        "raised_at": "2026-03-01T12:00:00+00:00",
    }
    assert body["alarms"][1]["peak_ratio"] is None


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("500", "answered 500"),
        ("302", "answered 302"),
        ("close", "RemoteProtocolError"),
        ("hang", "no answer within 0.5 s"),
        ("drip", "no answer within 0.5 s"),
    ],
)
def test_what_is_not_accepted_in_time_is_an_error_that_hides_the_address(receiver, caplog, what, words):
    receiver.next, begin = [what], time.monotonic()
    with caplog.at_level(logging.DEBUG), pytest.raises(NotificationError, match=words) as failed:
        Webhook(receiver.url, timeout_s=0.5)([alarm(1)], "k1")
    assert time.monotonic() - begin < 3
    assert "webhook at 127.0.0.1" in str(failed.value)
    assert failed.value.__suppress_context__ or failed.value.__context__ is None
    assert "hush" not in caplog.text + str(failed.value) + repr(Webhook(receiver.url))


def test_nobody_listening_is_an_error(receiver):
    receiver.server_close()
    with pytest.raises(NotificationError, match="ConnectError"):
        Webhook(receiver.url)([alarm(1)], "k1")


@pytest.mark.parametrize("url", ["", "hush", "ftp://host/hush", "http://", "https:///hush"])
def test_an_address_that_is_none_of_http_is_refused_and_not_shown(url):
    with pytest.raises(ParamsError, match="must be http") as refused:
        Webhook(url)
    assert "hush" not in str(refused.value)


def test_a_webhook_works_where_an_event_loop_runs(receiver):
    import asyncio

    async def within():
        Webhook(receiver.url)([alarm(1)], "k1")

    asyncio.run(within())
    assert len(receiver.got) == 1


def test_a_receiver_that_fails_in_every_way_and_recovers_accepts_each_alarm_once(store, raise_alarms, receiver):
    receiver.next = ["500", "hang", "close", "drip", "accept", "500", "close"]
    webhook, raised = Webhook(receiver.url, timeout_s=0.3), []
    for k in range(20):
        if k in (0, 3, 7, 8):
            raised += raise_alarms(store, k)
        deliver(store, webhook, after(1000 * k), backoff_s=30, longest_backoff_s=900)
    assert sorted(one["id"] for _, body in receiver.got for one in body["alarms"]) == raised
    assert store_is_empty(store)


def test_what_was_accepted_without_an_answer_comes_again_under_the_same_key(store, raise_alarms, receiver):
    receiver.next = ["accept and close"]
    raise_alarms(store, 1)
    assert deliver(store, Webhook(receiver.url), NOW).problem
    raise_alarms(store, 2)
    assert deliver(store, Webhook(receiver.url), after(30)).n_sent == 1
    (key, body), (again, same) = receiver.got
    assert (again, same) == (key, body)


def store_is_empty(store):
    return deliver(store, pytest.fail, after(10**6)).n_waiting == 0


KILLED = """
import os, signal, sys
from datetime import UTC, datetime
from offbeat.operation.notification import Webhook, deliver
from offbeat.operation.store import Store

url, hook, when = sys.argv[1:]

def send(alarms, key):
    if when == "after":
        Webhook(hook)(alarms, key)
    os.kill(os.getpid(), signal.SIGKILL)

with Store(url) as store:
    deliver(store, send, datetime(2026, 3, 1, 12, tzinfo=UTC), claim_s=60)
"""


@pytest.mark.parametrize(("when", "n_accepted"), [("before", 1), ("after", 2)])
def test_a_deliverer_that_is_killed_loses_nothing_and_the_key_tells_what_came_twice(
    sqlite_url, raise_alarms, receiver, when, n_accepted
):
    webhook = Webhook(receiver.url)
    with Store(sqlite_url) as store:
        ids = raise_alarms(store, 1, 2)
        killed = subprocess.run([sys.executable, "-c", KILLED, sqlite_url, receiver.url, when], timeout=60)
        assert killed.returncode == -signal.SIGKILL
        ids += raise_alarms(store, 3)
        assert deliver(store, webhook, after(59)).n_sent == 0
        assert deliver(store, webhook, after(60)).n_sent == 2
        assert len(receiver.got) == n_accepted
        assert len({key for key, _ in receiver.got}) == 1
        assert deliver(store, webhook, after(1000)).n_sent == 1
    once = dict(receiver.got)
    assert [one["id"] for body in once.values() for one in body["alarms"]] == ids
