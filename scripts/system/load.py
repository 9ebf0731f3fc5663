#!/usr/bin/env python3
"""Steady load until FILE is there; exits with 1 if a single request failed. usage: load.py PORT FILE

Four clients ask one request a connection, one keeps its connection, one follows the live events with Last-Event-ID. That one
asks for the project again whenever an event says that it changed, and at no other time: FILE.seen has the build that it knows.
"""
import http.client
import json
import os
import sys
import threading
import time

PORT, STOP = int(sys.argv[1]), sys.argv[2]
PATHS = ["/", "/api/v1/projects", "/api/health", "/api/v1/sources"]
lock, done, failed, streams = threading.Lock(), 0, [], 0


def stopped():
    return os.path.exists(STOP)


def connect():
    return http.client.HTTPConnection("127.0.0.1", PORT, timeout=30)


def report(error):
    global done
    with lock:
        if error:
            failed.append(error)
        else:
            done += 1


def ask(connection, path):
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    return None if answer.status == 200 and body else f"{path}: {answer.status}, {len(body)} bytes"


def fresh(number):
    turn = number
    while not stopped():
        turn += 1
        path = PATHS[turn % len(PATHS)]
        try:
            connection = connect()
            report(ask(connection, path))
            connection.close()
        except Exception as error:
            report(f"{path}: {error!r}")
        time.sleep(0.002)


def kept():
    connection, used = connect(), False
    while not stopped():
        try:
            report(ask(connection, "/api/v1/projects"))
            used = True
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError) as error:
            # A kept connection may close between two requests (RFC 9112, 9.3.1); a new one may not.
            if not used:
                report(f"a new connection: {error!r}")
            connection, used = connect(), False
        except Exception as error:
            report(f"kept: {error!r}")
            connection, used = connect(), False
        time.sleep(0.002)


def look():
    """Writes down the newest build."""
    connection = connect()
    connection.request("GET", "/api/v1/projects")
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    if answer.status != 200:
        report(f"after an event: {answer.status}")
        return
    # The id of a feed's build is its label and its time.
    builds = [run["id"].split(" ")[0] for row in json.loads(body)["items"] for run in row["pipelines"]]
    with open(STOP + ".new", "w") as seen:
        seen.write(builds[0] if builds else "none")
    os.replace(STOP + ".new", STOP + ".seen")


def follow():
    """Every stream has to begin with the link and a version, to end with a word, and to tell what happened between two."""
    global streams
    last, knows = None, False
    while not stopped():
        try:
            connection = connect()
            connection.request("GET", "/api/v1/events/stream", headers={"Last-Event-ID": last} if last else {})
            answer = connection.getresponse()
            if answer.status != 200:
                report(f"events: {answer.status}")
                continue
            words = []
            for line in answer:
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name == "id":
                    last = value
                if name == "event":
                    words.append(value)
                if name == "data" and words[-1] == "board":
                    told = json.loads(value)
                    if not knows or told["resync"] or told["changes"]:
                        look()
                        knows = True
                if stopped():
                    return
            streams += 1
            report(None if words[:1] == ["link"] and words[-1:] == ["bye"] else f"events: {words}")
        except Exception as error:
            report(f"events: {error!r}")


threads = [threading.Thread(target=fresh, args=(n,)) for n in range(4)]
threads += [threading.Thread(target=kept), threading.Thread(target=follow, daemon=True)]
for thread in threads:
    thread.start()
for thread in threads[:-1]:
    thread.join()
for error in failed[:10]:
    print(f"   {error}", file=sys.stderr)
print(f"   {len(failed)} of {done + len(failed)} requests failed, {streams} event streams came to their end")
sys.exit(1 if failed or done < 100 else 0)
