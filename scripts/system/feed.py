#!/usr/bin/env python3
"""A cctray feed of one project that wants a token. usage: feed.py PORT TOKEN_FILE BUILD_FILE

Both files are read for each answer: which token is good, and the number of the last build.
"""
import http.server
import os
import pathlib
import sys
import time

PORT, TOKEN, BUILD = int(sys.argv[1]), pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])


class Feed(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        allowed = self.headers.get("Authorization") == f"Bearer {TOKEN.read_text().strip()}"
        with BUILD.open() as build:
            label = build.read().strip()
            at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(os.fstat(build.fileno()).st_mtime))
        body = (
            f'<Projects><Project name="harbour" activity="Sleeping" lastBuildStatus="Success" lastBuildLabel="{label}" '
            f'lastBuildTime="{at}" webUrl="http://127.0.0.1/harbour"/></Projects>'
        )
        data = body.encode() if allowed else b"no"
        self.send_response(200 if allowed else 401)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Feed).serve_forever()
