//! The API as an OpenAPI 3.1 document, made from the types that cross it.
//!
//! [`Operation`] and [`Event`] are the one place where operations and events are described: a variant
//! there is a path or a component here, and its doc comment is the description. A copy is kept as
//! `specs/openapi.json`; a test compares.

mod words;

use std::sync::LazyLock;

use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};

use crate::ops::{Event, Operation};

/// The document as text: it never changes while a program runs.
pub(super) static TEXT: LazyLock<String> =
    LazyLock::new(|| serde_json::to_string_pretty(&document()).unwrap_or_default() + "\n");

const NDJSON: &str = "application/x-ndjson";
const ABOUT: &str = "What a running node can be asked, by whoever may read its data directory. \
The address and the token are those of `api.json` there; the token is new at each start. \
Requests with the `Host` of a name other than `localhost`, or with the `Origin` of another page, are refused.\n\n\
Each operation is a `POST` of its request as JSON. The answer is one JSON object a line, each an `Event`; \
the last one closes the operation. Closing the connection cancels it. \
Whole numbers are written without a fraction or an exponent.";

/// Builds the document.
fn document() -> Value {
    let mut requests = generator(SchemaSettings::for_deserialize);
    let mut events = generator(SchemaSettings::for_serialize);
    let operations = requests.root_schema_for::<Operation>().to_value();
    events.subschema_for::<Event>();
    let mut schemas = requests.take_definitions(false);
    schemas.extend(events.take_definitions(false));
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "OpenDAG local API",
            "version": "1",
            "description": ABOUT,
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/", "description": "The daemon that served this document." }],
        "security": [{ "token": [] }],
        "tags": [
            { "name": "operations", "description": "What a node can be asked." },
            { "name": "about", "description": "The daemon and its figures." },
        ],
        "paths": about(),
        "components": {
            "schemas": schemas,
            "responses": responses(),
            "securitySchemes": schemes(),
        },
    });
    if let Some(schemas) = document.pointer_mut("/components/schemas") {
        words::make_plain(schemas);
    }
    for operation in all(&operations) {
        let described = describe(operation, &document);
        if let (Some((name, path)), Some(Value::Object(paths))) =
            (described, document.get_mut("paths"))
        {
            paths.insert(format!("/v1/{name}"), path);
        }
    }
    document
}

fn generator(contract: fn(SchemaSettings) -> SchemaSettings) -> SchemaGenerator {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    contract(settings).into_generator()
}

/// The variants of a tagged enum.
fn all(schema: &Value) -> &[Value] {
    let variants = schema.get("oneOf").and_then(Value::as_array);
    variants.map(Vec::as_slice).unwrap_or_default()
}

/// The name of an operation, and its path item.
fn describe(operation: &Value, document: &Value) -> Option<(String, Value)> {
    let name = operation.pointer("/properties/op/const")?.as_str()?;
    let request = operation.pointer("/properties/request");
    let description = operation.get("description").and_then(Value::as_str);
    let mut description = words::plain(description.unwrap_or_default());
    // "See `PublishRequest`.": there it is said.
    if description.starts_with("See ")
        && let Some(schema) = request.and_then(|request| request.get("$ref")?.as_str())
        && let Some(said) =
            document.pointer(&format!("{}/description", schema.trim_start_matches('#')))
    {
        description = said.as_str().unwrap_or_default().to_owned();
    }
    let summary = description
        .split(['.', ':', ';'])
        .next()
        .unwrap_or_default();
    let mut post = json!({
        "operationId": name,
        "tags": ["operations"],
        "summary": summary,
        "description": description,
        "responses": {
            "200": { "$ref": "#/components/responses/Events" },
            "400": { "$ref": "#/components/responses/NotUnderstood" },
            "401": { "$ref": "#/components/responses/NoToken" },
            "403": { "$ref": "#/components/responses/OtherOrigin" },
            "413": { "$ref": "#/components/responses/TooLarge" },
            "421": { "$ref": "#/components/responses/OtherHost" },
            "503": { "$ref": "#/components/responses/Busy" },
        },
    });
    if let (Some(schema), Value::Object(post)) = (request, &mut post) {
        let content = json!({ "application/json": { "schema": schema } });
        post.insert(
            "requestBody".to_owned(),
            json!({ "required": true, "content": content }),
        );
    }
    Some((name.to_owned(), json!({ "post": post })))
}

/// The paths that are no operations.
fn about() -> Value {
    let refused = |mut responses: Value| {
        if let Value::Object(responses) = &mut responses {
            let of = |name: &str| json!({ "$ref": format!("#/components/responses/{name}") });
            responses.insert("403".to_owned(), of("OtherOrigin"));
            responses.insert("421".to_owned(), of("OtherHost"));
        }
        responses
    };
    let text = |media: &str, schema: Value| json!({ media: { "schema": schema } });
    json!({
        "/v1/hello": { "get": {
            "operationId": "hello",
            "tags": ["about"],
            "summary": "Prove that this is the daemon of its data directory",
            "description": "The whole query, at most 128 bytes as it stands, is the challenge; it is no `name=value`. \
                A client asks this first with random bytes, and never sends the token to another program that took the port of a daemon that is gone.",
            "security": [],
            "responses": refused(json!({
                "200": {
                    "description": "The proof.",
                    "content": text("application/json", json!({
                        "type": "object",
                        "required": ["api", "proof"],
                        "properties": {
                            "api": { "const": 1, "description": "Version of the API." },
                            "proof": {
                                "type": "string",
                                "pattern": "^[0-9a-f]{64}$",
                                "description": "BLAKE3 of the challenge, keyed with the 32 bytes of the token.",
                            },
                        },
                    })),
                },
                "400": { "description": "The challenge is too long." },
            })),
        } },
        "/v1/openapi.json": { "get": {
            "operationId": "openapi",
            "tags": ["about"],
            "summary": "This document",
            "description": "The same for all daemons of a version, so it needs no token.",
            "security": [],
            "responses": refused(json!({
                "200": {
                    "description": "An OpenAPI 3.1 document.",
                    "content": text("application/json", json!({ "type": "object" })),
                },
            })),
        } },
        "/metrics": { "get": {
            "operationId": "metrics",
            "tags": ["about"],
            "summary": "Figures for Prometheus",
            "description": "All metrics of the node in the text format of OpenMetrics 1.0. `specs/api.md` lists them.",
            "security": [{ "token": [] }, { "metrics_token": [] }],
            "responses": refused(json!({
                "200": {
                    "description": "The figures.",
                    "content": text("application/openmetrics-text", json!({ "type": "string" })),
                },
                "401": { "$ref": "#/components/responses/NoToken" },
            })),
        } },
    })
}

fn responses() -> Value {
    let events = |description: &str| {
        let schema = json!({ "$ref": "#/components/schemas/Event" });
        json!({ "description": description, "content": { NDJSON: { "schema": schema } } })
    };
    json!({
        "Events": events(
            "What happens, as it happens: one JSON object a line, each an `Event`. The last line closes the operation; \
             `failed` says that it failed, and so does an answer that ends without a closing line.",
        ),
        "NotUnderstood": events("There is no such operation, or its request is not understood: one line, a `failed`."),
        "Busy": events("Too many operations run: one line, a `failed`."),
        "NoToken": { "description": "The token is missing or wrong." },
        "OtherOrigin": { "description": "A page of another origin asks." },
        "OtherHost": { "description": "`Host` is neither an IP address nor `localhost`." },
        "TooLarge": { "description": "The request has more than 1 MiB." },
    })
}

fn schemes() -> Map<String, Value> {
    let bearer = |description: &str| json!({ "type": "http", "scheme": "bearer", "description": description });
    Map::from_iter([
        (
            "token".to_owned(),
            bearer("The `token` of `api.json` in the data directory."),
        ),
        (
            "metrics_token".to_owned(),
            bearer(
                "What the file `metrics_token` in the data directory holds; it opens `/metrics` alone.",
            ),
        ),
    ])
}

#[cfg(test)]
mod tests;
