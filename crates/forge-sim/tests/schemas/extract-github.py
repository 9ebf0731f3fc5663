#!/usr/bin/env python3
"""Cuts the parts that the tests need out of GitHub's OpenAPI description.

    npm pack @octokit/openapi && tar xzf octokit-openapi-*.tgz
    python3 extract-github.py package/generated/api.github.com.json > github.json

Keeps, for each endpoint below, the schema of its good answer, and all schemas that these refer to; drops what says
nothing about shape (descriptions, examples, titles), and turns OpenAPI 3.0's `nullable` into JSON Schema.
"""
import json
import sys

ENDPOINTS = [
    "/user",
    "/user/repos",
    "/orgs/{org}/repos",
    "/users/{username}/repos",
    "/repos/{owner}/{repo}",
    "/repos/{owner}/{repo}/branches",
    "/repos/{owner}/{repo}/branches/{branch}",
    "/repos/{owner}/{repo}/actions/runs",
    "/repos/{owner}/{repo}/actions/runs/{run_id}",
    "/repos/{owner}/{repo}/actions/runs/{run_id}/attempts/{attempt_number}",
    "/repos/{owner}/{repo}/actions/runs/{run_id}/jobs",
    "/repos/{owner}/{repo}/actions/runs/{run_id}/attempts/{attempt_number}/jobs",
    "/repos/{owner}/{repo}/actions/jobs/{job_id}",
    "/repos/{owner}/{repo}/actions/workflows",
    "/repos/{owner}/{repo}/actions/workflows/{workflow_id}",
    "/repos/{owner}/{repo}/actions/workflows/{workflow_id}/runs",
    "/repos/{owner}/{repo}/check-runs/{check_run_id}/annotations",
    "/repos/{owner}/{repo}/commits/{ref}",
    "/repos/{owner}/{repo}/pulls",
    "/repos/{owner}/{repo}/issues",
    "/repos/{owner}/{repo}/deployments",
    "/repos/{owner}/{repo}/deployments/{deployment_id}/statuses",
    "/rate_limit",
]
ERRORS = ["basic-error"]
NOISE = {"description", "example", "examples", "title", "externalDocs", "discriminator", "deprecated", "x-multi-segment"}


def clean(node, in_properties=False):
    if isinstance(node, list):
        return [clean(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {}
    for key, value in node.items():
        if not in_properties and key in NOISE:
            continue
        if key == "$ref" and isinstance(value, str):
            kept[key] = value.replace("#/components/schemas/", "#/$defs/")
        else:
            kept[key] = clean(value, in_properties=key == "properties" and not in_properties)
    if not in_properties and kept.pop("nullable", False) is True:
        kind = kept.get("type")
        if isinstance(kind, str):
            kept["type"] = [kind, "null"]
            if "enum" in kept and None not in kept["enum"]:
                kept["enum"].append(None)
        else:
            kept = {"anyOf": [kept, {"type": "null"}]}
    return kept


def references(node, found):
    if isinstance(node, list):
        for item in node:
            references(item, found)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref" and isinstance(value, str):
                found.add(value.rsplit("/", 1)[1])
            else:
                references(value, found)


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        whole = json.load(file)
    components = whole["components"]["schemas"]
    answers = {}
    for path in ENDPOINTS:
        good = whole["paths"][path]["get"]["responses"]["200"]
        if "$ref" in good:
            good = whole["components"]["responses"][good["$ref"].rsplit("/", 1)[1]]
        answers["GET " + path] = clean(good["content"]["application/json"]["schema"])
    definitions, wanted = {}, set(ERRORS)
    references(answers, wanted)
    while wanted:
        name = wanted.pop()
        if name not in definitions:
            definitions[name] = clean(components[name])
            references(definitions[name], wanted)
    version = whole["info"]["version"]
    json.dump({"openapi_version": version, "answers": answers, "$defs": definitions}, sys.stdout, separators=(",", ":"), sort_keys=True)
    sys.stdout.write("\n")


main()
