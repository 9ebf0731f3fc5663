#!/usr/bin/env python3
"""A cctray feed of one project that wants a token. usage: feed.py PORT TOKEN"""
import http.server
import sys
import time

PORT, TOKEN = int(sys.argv[1]), sys.argv[2]


class Feed(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        allowed = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        body = (
            '<Projects><Project name="harbour" activity="Sleeping" lastBuildStatus="Success" lastBuildLabel="7" '
            f'lastBuildTime="{at}" webUrl="http://127.0.0.1/harbour"/></Projects>'
        )
        data = body.encode() if allowed else b"no"
        self.send_response(200 if allowed else 401)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Feed).serve_forever()
