use std::io::Write;

use opendag_protocol::schema::{DEPTH_MAX, Field, Kind, NAME_BYTES_MAX, Type};

use super::*;

/// The schema of a file with this name, and how many bytes were asked for.
fn read(path: &str, bytes: &[u8]) -> (Result<Schema, SchemaError>, u64) {
    let mut probe = Probe::new(Format::of(path).unwrap(), bytes.len() as u64);
    let mut asked = 0;
    loop {
        let wanted = probe.wants();
        asked += wanted.end - wanted.start;
        let some =
            &bytes[usize::try_from(wanted.start).unwrap()..usize::try_from(wanted.end).unwrap()];
        match probe.got(some) {
            Step::Read(range) => assert_eq!(range, probe.wants()),
            Step::Done(schema) => return (schema, asked),
        }
    }
}

fn fields(path: &str, text: &str) -> Vec<Field> {
    read(path, text.as_bytes()).0.unwrap().fields().to_vec()
}

fn field(name: &str, ty: impl Into<Type>) -> Field {
    Field {
        name: name.to_owned(),
        ty: ty.into(),
        optional: false,
    }
}

fn maybe(name: &str, ty: impl Into<Type>) -> Field {
    Field {
        optional: true,
        ..field(name, ty)
    }
}

#[test]
fn names_say_the_format() {
    let media_types =
        |path| Format::of(path).map(|format| format.media_types().collect::<Vec<_>>());
    assert_eq!(
        media_types("a/b.PARQUET"),
        Some(vec!["application/x-parquet"])
    );
    assert_eq!(media_types("x.ndjson"), Some(vec!["application/jsonlines"]));
    let packed = vec!["text/csv", "application/gzip"];
    assert_eq!(media_types("x.csv.gz"), Some(packed));
    for path in [
        "x",
        "csv",
        "x.parquet.gz",
        "x.json",
        "x.gz",
        "a.csv/x",
        "x.csv.zip",
    ] {
        assert_eq!(media_types(path), None, "{path}");
    }
}

#[test]
fn lines_of_json() {
    let text = "{\"id\": 1, \"x\": 1, \"tags\": [], \"who\": {\"name\": \"a\"}, \"odd\": 1}\r\n\
                \n\
                {\"id\": 2, \"x\": 1.5, \"tags\": [\"a\", null], \"who\": {\"name\": null, \"age\": 3}, \"odd\": \"a\"}\n\
                {\"id\": 3, \"x\": 2, \"late\": true, \"who\": {\"name\": \"b\"}, \"odd\": [1]}";
    let who = vec![maybe("name", Kind::Text), maybe("age", Type::INTEGER)];
    let expected = [
        field("id", Type::INTEGER),
        field("x", Type::FLOAT),
        maybe("tags", Type::from(Kind::Text).listed()),
        field("who", Kind::Record(who)),
        field("odd", Kind::Other),
        maybe("late", Kind::Boolean),
    ];
    assert_eq!(fields("x.jsonl", text), expected);
}

#[test]
fn rows_of_csv_and_tsv() {
    let text = "\u{feff}id,price,ok,name,note\n1,1,true,\"a, \"\"b\"\"\n c\",\n-2,1.5,FALSE,7,NA\n";
    let expected = [
        field("id", Type::INTEGER),
        field("price", Type::FLOAT),
        field("ok", Kind::Boolean),
        field("name", Kind::Text),
        maybe("note", Type::NULL),
    ];
    assert_eq!(fields("x.csv", text), expected);
    assert_eq!(
        fields("x.tsv", "a,b\tc\n1\tx\n"),
        [field("a,b", Type::INTEGER), field("c", Kind::Text)]
    );
    // Only names: nothing is known of the values.
    assert_eq!(
        fields("x.csv", "a,b"),
        [field("a", Type::NULL), field("b", Type::NULL)]
    );
}

#[test]
fn packed_text_is_unpacked() {
    let text: String = (0..50_000).map(|id| format!("{{\"id\":{id}}}\n")).collect();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    gzip.write_all(text.as_bytes()).unwrap();
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bzip2.write_all(text.as_bytes()).unwrap();
    let zstd = ruzstd::encoding::compress_to_vec(
        text.as_bytes(),
        ruzstd::encoding::CompressionLevel::Fastest,
    );
    let packed = [
        ("x.jsonl.gz", gzip.finish().unwrap()),
        ("x.jsonl.bz2", bzip2.finish().unwrap()),
        ("x.jsonl.zst", zstd),
    ];
    for (name, bytes) in packed {
        let (schema, asked) = read(name, &bytes);
        assert_eq!(
            schema.unwrap().fields(),
            [field("id", Type::INTEGER)],
            "{name}"
        );
        assert!(asked <= TEXT_BYTES[0], "{name}: {asked} bytes");
        // Only a beginning of it, and another kind of bytes.
        assert_eq!(
            read(name, text.as_bytes()).0,
            Err(SchemaError::Malformed),
            "{name}"
        );
    }
}

#[test]
fn only_as_much_is_read_as_it_takes() {
    let line = |len: usize| format!("{{\"text\":\"{}\"}}\n", "x".repeat(len));
    let text = [field("text", Kind::Text)];
    let (schema, asked) = read("x.jsonl", line(1000).repeat(1000).as_bytes());
    assert_eq!(
        (schema.unwrap().fields(), asked),
        (&text[..], TEXT_BYTES[0])
    );
    let long = line(500_000).repeat(9);
    let (schema, asked) = read("x.jsonl", long.as_bytes());
    assert_eq!(schema.unwrap().fields(), text);
    assert_eq!(asked, TEXT_BYTES.iter().sum::<u64>());
    let longest = line(2_000_000);
    assert_eq!(
        read("x.jsonl", longest.as_bytes()).0,
        Err(SchemaError::Malformed)
    );
}

/// A Parquet file whose only column is called `x`, with so much else in its footer.
fn parquet(filling: usize) -> Vec<u8> {
    let mut footer =
        b"\x15\x02\x19\x2c\x48\x04root\x15\x02\x00\x15\x02\x25\x00\x18\x01x\x00".to_vec();
    footer.resize(footer.len() + filling, 0);
    let len = u32::try_from(footer.len()).unwrap().to_le_bytes();
    [b"PAR1", &vec![7; 500_000][..], &footer, &len, b"PAR1"].concat()
}

#[test]
fn of_parquet_only_the_footer_is_read() {
    let expected = [field(
        "x",
        Kind::Integer {
            bits: 32,
            signed: true,
        },
    )];
    for (filling, most) in [(0, END_BYTES), (3_000_000, END_BYTES + FOOTER_BYTES_MAX)] {
        let (schema, asked) = read("x.parquet", &parquet(filling));
        assert_eq!(schema.unwrap().fields(), expected);
        assert_eq!(asked, most);
    }
    let whole = parquet(0);
    for bad in [
        &b""[..],
        b"PAR1",
        &whole[..whole.len() - 1],
        b"\xff\xff\xff\x7fPAR1",
    ] {
        assert_eq!(read("x.parquet", bad).0, Err(SchemaError::Malformed));
    }
}

#[test]
fn hostile_text_is_refused() {
    let deep = |levels: usize| format!("{{\"x\":{}1{}}}\n", "[".repeat(levels), "]".repeat(levels));
    let kind = |levels| fields("x.jsonl", &deep(levels)).remove(0).ty.kind;
    assert_eq!(kind(DEPTH_MAX - 1), Type::INTEGER.kind);
    // What lies deeper is not looked into, however deep it is.
    assert_eq!(kind(DEPTH_MAX), Kind::Other);
    assert_eq!(kind(100_000), Kind::Other);
    let long = format!("{{\"{}\":1}}\n", "x".repeat(NAME_BYTES_MAX + 1));
    for text in [
        "",
        "\n\n",
        "{\"a\":1}{\n",
        "[1]\n",
        "{\"a\":1,\"a\":2}\n",
        "1\n",
        &long,
    ] {
        assert!(read("x.jsonl", text.as_bytes()).0.is_err(), "{text:.20}");
    }
    let wide = "x,".repeat(5000);
    for text in ["", "a,a\n", "a,\n", &wide] {
        assert!(read("x.csv", text.as_bytes()).0.is_err(), "{text:.20}");
    }
    // A few bytes that stand for very many.
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..100 {
        gzip.write_all(&[b' '; 1_000_000]).unwrap();
    }
    assert!(read("x.jsonl.gz", &gzip.finish().unwrap()).0.is_err());
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_a_schema_or_refused(bytes: Vec<u8>, which in 0_usize..8) {
        let names = ["x.parquet", "x.jsonl", "x.csv", "x.tsv", "x.csv.gz", "x.jsonl.zst", "x.jsonl.bz2", "x.ndjson"];
        let _ = read(names[which], &bytes);
        let _ = read(names[which], &[&bytes[..], b"\x10\0\0\0PAR1"].concat());
    }
}
