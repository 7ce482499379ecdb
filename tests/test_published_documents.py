"""Both documents work with validators and generators of other languages."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from shared.api.openapi.document import document
from shared.mail.json_schema import mail_message_schema

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCUMENTS = {"mail schema": mail_message_schema, "OpenAPI": document}
#: The type that each keyword applies to; ajv in strict mode requires that type beside it.
TYPES = {
    "maxLength": "string",
    "minLength": "string",
    "pattern": "string",
    "minItems": "array",
    "maxItems": "array",
    "items": "array",
    "minimum": "integer",
    "maximum": "integer",
    "maxProperties": "object",
    "patternProperties": "object",
}
BARE_END = re.compile(r"\$(?!\(\?!\\n\))")
PROBLEM = "application/problem+json"
NULL = {"type": "null"}


def parts(value: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every object of a document with its path."""
    if isinstance(value, dict):
        yield path, value
        for name, item in value.items():
            yield from parts(item, f"{path}/{name}")
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from parts(item, f"{path}/{number}")


def schemas(name: str) -> list[tuple[str, dict[str, Any]]]:
    """List all schemas; a map of members by name is not one."""
    found = parts(DOCUMENTS[name]())
    return [(path, each) for path, each in found if not path.endswith(("/properties", "/schemas"))]


def types(schema: dict[str, Any]) -> list[str]:
    found = schema.get("type", [])
    return [found] if isinstance(found, str) else found


@pytest.fixture(params=DOCUMENTS)
def described(request: pytest.FixtureRequest) -> list[tuple[str, dict[str, Any]]]:
    return schemas(request.param)


type Described = list[tuple[str, dict[str, Any]]]


def test_shared_schemas_are_where_every_tool_expects_them(described: Described) -> None:
    assert [path for path, each in described if "$defs" in each] == []


def test_a_pattern_ends_where_the_text_ends_in_every_language(described: Described) -> None:
    """.NET and Python let `$` match before a final line break.

    fastjsonschema replaces every `$`.
    """
    patterns = [each["pattern"] for _, each in described if isinstance(each.get("pattern"), str)]
    patterns += [pattern for _, each in described for pattern in each.get("patternProperties", {})]

    assert patterns
    assert [each for each in patterns if BARE_END.search(each)] == []


def test_a_keyword_is_beside_the_type_that_it_applies_to(described: Described) -> None:
    missing = [
        f"{path}: {keyword}"
        for path, each in described
        for keyword, kind in TYPES.items()
        if keyword in each and kind not in types(each) and not path.endswith("propertyNames/not")
    ]

    assert missing == []


@pytest.mark.parametrize(("name", "known"), [("mail schema", set()), ("OpenAPI", {"date-time", "uuid"})])
def test_no_format_is_used_that_tools_read_differently(name: str, known: set[str]) -> None:
    """Validators treat formats differently.

    None knows `base64`, `email` refuses international addresses, and ajv without a plugin knows no format at
    all.
    """
    found = {each["format"] for _, each in schemas(name) if isinstance(each.get("format"), str)}

    assert found == known


def test_a_nullable_member_has_null_in_its_type(described: Described) -> None:
    """.NET generators make an empty class of `anyOf` with a null type."""
    assert [
        path for path, each in described if NULL in [*each.get("anyOf", []), *each.get("oneOf", [])]
    ] == []


def test_an_enumeration_has_a_type_and_names_null_where_it_is_allowed(described: Described) -> None:
    listed = [(path, each) for path, each in described if isinstance(each.get("enum"), list)]

    assert listed
    assert [path for path, each in listed if not types(each)] == []
    assert [path for path, each in listed if (None in each["enum"]) is not ("null" in types(each))] == []


def test_only_keywords_are_used_that_every_tool_knows(described: Described) -> None:
    """NJsonSchema skips these, and checks less than the document says."""
    unknown = {"const", "if", "then", "else", "propertyNames", "dependentRequired", "contentEncoding"}

    assert [path for path, each in described if each.keys() & unknown] == []


def test_nothing_narrows_what_it_refers_to(described: Described) -> None:
    """Many tools ignore keywords beside `$ref`."""
    beside = {"$ref", "description"}

    assert [path for path, each in described if "$ref" in each and each.keys() - beside] == []


def operations() -> dict[str, dict[str, Any]]:
    return {
        f"{method} {path}": operation
        for path, methods in document()["paths"].items()
        for method, operation in methods.items()
    }


def problems() -> list[dict[str, Any]]:
    return [
        response["content"][PROBLEM]
        for operation in operations().values()
        for response in operation["responses"].values()
        if PROBLEM in response.get("content", {})
    ]


def test_every_problem_is_one_plain_reference() -> None:
    """A finer shape for each status breaks generated clients.

    Members are lost, or the client throws.
    """
    assert problems()
    assert all(each == {"schema": {"$ref": "#/components/schemas/ProblemDocument"}} for each in problems())


def test_no_shape_is_combined_from_others() -> None:
    combined = {"allOf", "anyOf", "oneOf"}

    assert [path for path, each in schemas("OpenAPI") if each.keys() & combined] == []


def test_names_of_operations_survive_generators_that_split_them() -> None:
    """NSwag makes a class of the part before `_`."""
    names = [operation["operationId"] for operation in operations().values()]

    assert len({name.lower() for name in names}) == len(names)
    assert [name for name in names if not re.fullmatch(r"[a-z][A-Za-z]+", name)] == []


def test_an_operation_has_one_status_and_one_shape_on_success() -> None:
    """A generated method returns one type; NSwag throws for other statuses."""
    successes = {
        name: [
            (status, media_type, str(content["schema"]))
            for status, response in operation["responses"].items()
            if status.startswith("2")
            for media_type, content in response.get("content", {"": {"schema": ""}}).items()
        ]
        for name, operation in operations().items()
    }

    assert [name for name, found in successes.items() if len(found) > 1] == []


def test_only_readiness_has_a_status_in_two_shapes() -> None:
    """A probe reads the failed part; a response before that is a problem."""
    two = [
        f"{name} {status}"
        for name, operation in operations().items()
        for status, response in operation["responses"].items()
        if len(response.get("content", {})) > 1
    ]

    assert two == ["get /api/health/ready 503"]


def test_what_is_sent_only_sometimes_is_not_required() -> None:
    problem = document()["components"]["schemas"]["ProblemDocument"]

    assert set(problem["required"]) == problem["properties"].keys() - {"errors"}


def test_no_member_has_a_default_that_a_generator_would_make_required() -> None:
    assert [path for path, each in schemas("OpenAPI") if "default" in each] == []


def test_every_shape_is_used_and_none_is_only_a_name_for_a_scalar() -> None:
    shapes = document()["components"]["schemas"]
    used = {each["$ref"] for _, each in schemas("OpenAPI") if "$ref" in each}

    assert used == {f"#/components/schemas/{name}" for name in shapes}
    assert [name for name, each in shapes.items() if "object" not in types(each) and "enum" not in each] == []


def test_titles_are_words() -> None:
    titles = [each["title"] for _, each in schemas("OpenAPI") if isinstance(each.get("title"), str)]

    assert len(titles) > 30
    assert [
        title for title in titles if not re.fullmatch(r"[A-Z][a-z]+( [a-z]+)*|Inforiver Mailer", title)
    ] == []


def test_tags_are_described_and_used() -> None:
    described = {tag["name"] for tag in document()["tags"] if tag["description"]}

    assert described == {tag for operation in operations().values() for tag in operation["tags"]}


def test_headers_of_a_problem_are_documented() -> None:
    responses = [each for operation in operations().values() for each in operation["responses"].items()]

    for wanted, header in (("401", "WWW-Authenticate"), ("503", "Retry-After")):
        found = [
            each for status, each in responses if status == wanted and PROBLEM in each.get("content", {})
        ]
        assert found
        assert [each for each in found if header not in each["headers"]] == []


def test_an_optional_member_of_a_body_may_be_null() -> None:
    shapes = document()["components"]["schemas"]
    bodies = [shape for name, shape in shapes.items() if name.endswith("Body")]

    assert bodies
    for shape in bodies:
        for name, member in shape["properties"].items():
            assert ("null" in types(member)) is (name not in shape.get("required", [])), name
