#!/usr/bin/env python3
"""Cuts the parts that the simulation needs out of GitHub's published GraphQL schema.

    npm pack @octokit/graphql-schema && tar xzf octokit-graphql-schema-*.tgz
    python3 extract-graphql.py package/schema.graphql > ../../src/github/schema.graphql

Keeps the types below with all of their fields and arguments whose types are among them, and no descriptions.
"""
import re
import sys

KEEP = """Query Repository Ref GitObject Commit CheckSuiteConnection CheckSuiteEdge CheckSuite CheckSuiteFilter WorkflowRun
Workflow WorkflowState WorkflowRunConnection WorkflowRunOrder App PageInfo RateLimit CheckStatusState CheckConclusionState
OrderDirection WorkflowRunOrderField GitActor PullRequestConnection PullRequestState RefConnection StatusCheckRollup StatusState
Deployment DeploymentConnection DeploymentOrder DeploymentOrderField DeploymentState DeploymentStatus DeploymentStatusConnection
DeploymentStatusState""".split()
SCALARS = "ID Int Float String Boolean DateTime URI GitObjectID GitTimestamp HTML".split()
OF_QUERY = {"repository", "rateLimit", "nodes", "node"}

text = re.sub(r'^ *"""(.|\n)*?"""\n', "", open(sys.argv[1], encoding="utf-8").read(), flags=re.M)
print("# Cut by tests/schemas/extract-graphql.py out of npm package @octokit/graphql-schema 15.26.1, schema.graphql.")
print("# Copyright (c) GitHub 2025, MIT licence: tests/schemas/README.md\n")
print("schema { query: Query }\n")
for scalar in SCALARS[5:]:
    print(f"scalar {scalar}")
known = set(KEEP) | set(SCALARS)
named = lambda of: re.sub(r"[\[\]!]", "", of).strip()
for match in re.finditer(r"^(type|interface|input|enum) (\w+)([^{]*)\{\n(.*?)^\}", text, re.S | re.M):
    kind, name, _, body = match.groups()
    if name not in KEEP:
        continue
    implements = [i for i in re.findall(r"\w+", match.group(3).replace("implements", "")) if i in KEEP]
    print(f"\n{kind} {name}{' implements ' + ' & '.join(implements) if implements else ''} {{")
    if kind == "enum":
        for word in re.findall(r"^\s*(\w+)", body, re.M):
            print(f"  {word}")
    else:
        for field in re.finditer(r"^  (\w+)(\((.*?)\n  \))?(?:\(([^)]*)\))?: ([\w\[\]!]+)", body, re.S | re.M):
            field_name, of = field.group(1), field.group(5)
            if named(of) not in known or (name == "Query" and field_name not in OF_QUERY):
                continue
            arguments = re.findall(r"(\w+): ([\w\[\]!]+)", re.sub(r"=\s*\{[^}]*\}", "", field.group(3) or field.group(4) or ""))
            arguments = [f"{a}: {t}" for a, t in arguments if named(t) in known]
            print(f"  {field_name}{'(' + ', '.join(arguments) + ')' if arguments else ''}: {of}")
    print("}")
