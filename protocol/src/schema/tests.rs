use super::*;

fn field(name: &str, ty: Type, optional: bool) -> Field {
    let name = name.to_owned();
    Field { name, ty, optional }
}

fn record(fields: &[Field]) -> Type {
    Kind::Record(fields.to_vec()).into()
}

#[test]
fn types_join() {
    let text = || Type::from(Kind::Text);
    let other = || Type::from(Kind::Other);
    let cases = [
        (Type::NULL, text(), text()),
        (Type::INTEGER, Type::INTEGER, Type::INTEGER),
        (Type::INTEGER, Type::FLOAT, Type::FLOAT),
        (Type::INTEGER, text(), other()),
        // An empty list holds nothing that is known.
        (Type::NULL.listed(), text().listed(), text().listed()),
        (Type::NULL, text().listed(), text().listed()),
        (Type::NULL.listed(), text(), other()),
        (text(), text().listed(), other()),
        (
            record(&[field("a", Type::INTEGER, false), field("b", text(), false)]),
            record(&[field("b", text(), false), field("c", Type::FLOAT, false)]),
            record(&[
                field("a", Type::INTEGER, true),
                field("b", text(), false),
                field("c", Type::FLOAT, true),
            ]),
        ),
    ];
    for (one, two, both) in cases {
        assert_eq!(one.clone().join(two.clone()), both, "{one:?} {two:?}");
        if !matches!(both.kind, Kind::Record(_)) {
            assert_eq!(two.join(one), both);
        }
    }
}

#[test]
fn joined_fields_are_bounded() {
    let one = |at: usize| record(&[field(&format!("f{at}"), Type::INTEGER, false)]);
    let joined = |count: usize| (0..count).map(one).fold(Type::NULL, Type::join);
    assert!(matches!(joined(FIELDS_MAX).kind, Kind::Record(_)));
    assert_eq!(joined(FIELDS_MAX + 1).kind, Kind::Other);
}

#[test]
fn schemas_are_bounded() {
    let many = |count: usize| {
        let field = |at: usize| field(&format!("f{at}"), Type::INTEGER, false);
        (0..count).map(field).collect::<Vec<_>>()
    };
    assert_eq!(Schema::new(many(FIELDS_MAX)).unwrap().count(), FIELDS_MAX);
    assert_eq!(Schema::new(many(FIELDS_MAX + 1)), Err(SchemaError::Fields));
    let inside = field("r", record(&many(FIELDS_MAX)), false);
    assert_eq!(Schema::new(vec![inside]), Err(SchemaError::Fields));

    let deep = |levels: usize| {
        (1..levels).fold(field("x", Type::INTEGER, false), |below, _| {
            field("r", record(&[below]), false)
        })
    };
    assert!(Schema::new(vec![deep(DEPTH_MAX)]).is_ok());
    assert_eq!(
        Schema::new(vec![deep(DEPTH_MAX + 1)]),
        Err(SchemaError::Depth)
    );
    let mut lists = deep(DEPTH_MAX);
    lists.ty = lists.ty.listed();
    assert_eq!(Schema::new(vec![lists]), Err(SchemaError::Depth));

    for name in ["", &"x".repeat(NAME_BYTES_MAX + 1)] {
        let named = vec![field(name, Type::INTEGER, false)];
        assert_eq!(Schema::new(named), Err(SchemaError::Name));
    }
    let twice = vec![field("x", Type::INTEGER, false); 2];
    assert_eq!(Schema::new(twice), Err(SchemaError::Name));
}
