use super::*;

/// The beginning of the footer that pyarrow wrote of a table with a column of each type.
const FOOTER: &str = "\
    FQQZ/CE1ABgGc2NoZW1hFSQAFQQlABgCaWQAFQIlAhgFc21hbGwlFkysEwgSAAAAFQglAhgBeAAVCiUCGAF5ABUOFQQV\
    AhgBaGz8AAAAFQwlAhgEdGV4dCUATBwAAAAVDCUCGANyYXcAFQAlAhgCb2sAFQIlAhgDZGF5JQxMbAAAABUEJQIYAmF0\
    JRRMjBIcLAAAAAAAFQQlAhgEdGltZWx8EhwsAAAAAAAVDhUEFQIYBXByaWNlJQoVBBUGLFwVBBUGAAAANQIYBHRhZ3MV\
    AhUGTDwAAAA1BBgEbGlzdBUCABUMJQIYB2VsZW1lbnQlAEwcAAAANQIYBGdyaWQVAhUGTDwAAAA1BBgEbGlzdBUCADUC\
    GAdlbGVtZW50FQIVBkw8AAAANQQYBGxpc3QVAgAVAiUCGAdlbGVtZW50ADUCGAN3aG8VBAAVDCUCGARuYW1lJQBMHAAA\
    ABUEJQIYA2FnZQA1AhgEc2VlbhUCFQZMPAAAADUEGARsaXN0FQIANQIYB2VsZW1lbnQVAgAVBCUCGAJhdAA1AhgDbWFw\
    FQIVAkwsAAAANQQYCWtleV92YWx1ZRUEABUMJQAYA2tleSUATBwAAAAVBCUCGAV2YWx1ZQAVAiUCGAdub3RoaW5nbLwA\
    AAAWAhkcGfwUJgAcFQQZNQAGEBkYAmlkFQAWAhZYFlgmNCYIKSwVBBUAFQIAFQAVEBU=";

fn footer() -> Vec<u8> {
    data_encoding::BASE64.decode(FOOTER.as_bytes()).unwrap()
}

fn field(name: &str, ty: Type) -> Field {
    Field {
        name: name.to_owned(),
        ty,
        optional: true,
    }
}

#[test]
fn the_types_of_pyarrow() {
    let integer = |bits, signed| Type::from(Kind::Integer { bits, signed });
    let float = |bits| Type::from(Kind::Float { bits });
    let record = |fields| Type::from(Kind::Record(fields));
    let who = vec![
        field("name", Kind::Text.into()),
        field("age", integer(64, true)),
    ];
    let pair = vec![
        Field {
            optional: false,
            ..field("key", Kind::Text.into())
        },
        field("value", integer(64, true)),
    ];
    let expected = vec![
        Field {
            optional: false,
            ..field("id", integer(64, true))
        },
        field("small", integer(8, false)),
        field("x", float(32)),
        field("y", float(64)),
        field("h", float(16)),
        field("text", Kind::Text.into()),
        field("raw", Kind::Binary.into()),
        field("ok", Kind::Boolean.into()),
        field("day", Kind::Date.into()),
        field("at", Kind::DateTime.into()),
        field("time", Kind::Time.into()),
        field("price", Kind::Decimal.into()),
        field("tags", Type::from(Kind::Text).listed()),
        field("grid", integer(32, true).listed().listed()),
        field("who", record(who)),
        field(
            "seen",
            record(vec![field("at", integer(64, true))]).listed(),
        ),
        field("map", Kind::Map(pair).into()),
        field("nothing", Type::NULL),
    ];
    let schema = schema(&footer()).unwrap();
    assert_eq!(schema.fields(), expected);
    assert_eq!(schema.count(), expected.len() + 5);
}

/// A column or group as it stands in a footer.
fn element(name: &str, repetition: u8, children: u8, converted: Option<u8>) -> Vec<u8> {
    // Fields 1 (type: INT32), 3 (repetition), 4 (name), 5 (children), 6 (converted type).
    let mut bytes = vec![
        0x15,
        2,
        0x25,
        repetition * 2,
        0x18,
        u8::try_from(name.len()).unwrap(),
    ];
    bytes.extend(name.as_bytes());
    bytes.extend([0x15, children * 2]);
    bytes.extend(
        converted
            .map(|converted| [0x15, converted * 2])
            .into_iter()
            .flatten(),
    );
    bytes.push(0);
    bytes
}

fn footer_of(elements: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = vec![0x15, 2, 0x19, 0xfc];
    let mut count = elements.len();
    while count >= 0x80 {
        bytes.push(u8::try_from(count & 0x7f).unwrap() | 0x80);
        count >>= 7;
    }
    bytes.push(u8::try_from(count).unwrap());
    bytes.extend(elements.iter().flatten());
    bytes.push(0);
    bytes
}

#[test]
fn lists_of_old_writers() {
    let integer = Type::from(Kind::Integer {
        bits: 32,
        signed: true,
    });
    let footer = footer_of(&[
        element("root", 0, 4, None),
        // The repeated column is the value.
        element("a", 1, 1, Some(3)),
        element("array", 2, 0, None),
        // A repeated group of that name too.
        element("b", 1, 1, Some(3)),
        element("b_tuple", 2, 1, None),
        element("x", 0, 0, None),
        // A group of several is a record.
        element("c", 1, 1, Some(3)),
        element("bag", 2, 2, None),
        element("x", 0, 0, None),
        element("y", 0, 0, None),
        // No list at all, but repeated.
        element("d", 2, 0, None),
    ]);
    let inner = |names: &[&str]| {
        let field = |name: &&str| Field {
            name: (*name).to_owned(),
            ty: integer.clone(),
            optional: false,
        };
        Type::from(Kind::Record(names.iter().map(field).collect())).listed()
    };
    let expected = vec![
        field("a", integer.clone().listed()),
        field("b", inner(&["x"])),
        field("c", inner(&["x", "y"])),
        Field {
            optional: false,
            ..field("d", integer.clone().listed())
        },
    ];
    assert_eq!(schema(&footer).unwrap().fields(), expected);
}

#[test]
fn a_cut_or_hostile_footer_is_refused() {
    let whole = footer();
    let end = whole.len() - 40;
    for len in 0..end - 8 {
        assert!(schema(&whole[..len]).is_err(), "{len} bytes");
    }
    // Groups in groups, deeper than any stack.
    let deep = vec![element("g", 0, 1, None); 5_000];
    assert_eq!(schema(&footer_of(&deep)), Err(SchemaError::Depth));
    let fewer = [element("root", 0, 3, None), element("x", 0, 0, None)];
    assert_eq!(schema(&footer_of(&fewer)), Err(SchemaError::Malformed));
    let many = vec![element("x", 0, 0, None); ELEMENTS_MAX + 1];
    assert_eq!(schema(&footer_of(&many)), Err(SchemaError::Fields));
    let twice = [
        element("root", 0, 2, None),
        element("x", 0, 0, None),
        element("x", 0, 0, None),
    ];
    assert_eq!(schema(&footer_of(&twice)), Err(SchemaError::Name));
    // A list that promises more than there is; lists in lists.
    assert_eq!(
        schema(&[0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x0f]),
        Err(SchemaError::Malformed)
    );
    assert_eq!(
        schema(&[vec![0x19], vec![0x19; 1000]].concat()),
        Err(SchemaError::Malformed)
    );
}

#[test]
fn the_tail_names_the_footer() {
    assert_eq!(footer_bytes(*b"\x10\x01\0\0PAR1"), Ok(272));
    assert_eq!(
        footer_bytes(*b"\x10\x01\0\0PARE"),
        Err(SchemaError::Malformed)
    );
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_a_schema_or_refused(bytes: Vec<u8>, cut: u16, at: u16, with: u8) {
        let _ = schema(&bytes);
        let mut changed = footer();
        let at = usize::from(at) % changed.len();
        changed[at] = with;
        changed.truncate(usize::from(cut).max(1));
        if let Ok(schema) = schema(&changed) {
            proptest::prop_assert!(schema.count() <= FIELDS_MAX);
        }
    }
}
