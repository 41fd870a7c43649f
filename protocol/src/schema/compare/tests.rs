use super::*;

fn int(bits: u8, signed: bool) -> Type {
    Kind::Integer { bits, signed }.into()
}

fn field(name: &str, ty: impl Into<Type>) -> Field {
    Field {
        name: name.to_owned(),
        ty: ty.into(),
        optional: false,
    }
}

fn schema(fields: &[Field]) -> Schema {
    Schema::new(fields.to_vec()).unwrap()
}

/// How a field of one type fits when it becomes another.
fn becomes(old: impl Into<Type>, new: impl Into<Type>) -> Option<Fit> {
    let changes = compare(&schema(&[field("f", old)]), &schema(&[field("f", new)]));
    assert!(changes.len() <= 1 && changes.iter().all(|change| change.field == "f"));
    changes.first().map(|change| change.fit)
}

#[test]
fn numbers_that_hold_more_are_widened_and_others_break() {
    let float = |bits| Type::from(Kind::Float { bits });
    assert_eq!(becomes(int(32, true), int(32, true)), None);
    assert_eq!(becomes(int(32, true), int(64, true)), Some(Fit::Widened));
    assert_eq!(becomes(int(64, true), int(32, true)), Some(Fit::Compatible));
    assert_eq!(becomes(int(32, false), int(64, true)), Some(Fit::Widened));
    assert_eq!(becomes(int(32, false), int(32, true)), Some(Fit::Broken));
    assert_eq!(becomes(int(64, true), int(64, false)), Some(Fit::Broken));
    assert_eq!(becomes(int(64, true), float(64)), Some(Fit::Widened));
    assert_eq!(becomes(float(64), float(32)), Some(Fit::Compatible));
    assert_eq!(becomes(int(64, true), Kind::Text), Some(Fit::Broken));
    assert_eq!(becomes(Kind::Date, Kind::DateTime), Some(Fit::Broken));
}

#[test]
fn what_was_not_seen_is_anything_and_what_was_anything_is_all() {
    assert_eq!(becomes(Kind::Null, Kind::Text), Some(Fit::Widened));
    assert_eq!(becomes(Kind::Text, Kind::Null), Some(Fit::Compatible));
    assert_eq!(becomes(Kind::Null, Kind::Null), None);
    assert_eq!(becomes(Kind::Other, Kind::Text), Some(Fit::Compatible));
    assert_eq!(becomes(Kind::Text, Kind::Other), Some(Fit::Broken));
    let list = Type::from(Kind::Text).listed();
    assert_eq!(becomes(Kind::Text, list.clone()), Some(Fit::Broken));
    assert_eq!(becomes(list, Kind::Text), Some(Fit::Broken));
}

#[test]
fn fields_come_and_go_and_their_order_does_not_matter() {
    let (id, text) = (field("id", Type::INTEGER), field("text", Kind::Text));
    let changed = |old: &[&Field], new: &[&Field]| {
        let of = |fields: &[&Field]| {
            let fields: Vec<_> = fields.iter().map(|field| (*field).clone()).collect();
            schema(&fields)
        };
        compare(&of(old), &of(new))
    };
    assert_eq!(changed(&[&id, &text], &[&text, &id]), []);
    let gone = changed(&[&id, &text], &[&id]);
    assert_eq!((gone[0].field.as_str(), gone[0].fit), ("text", Fit::Broken));
    let new = changed(&[&id], &[&id, &text]);
    assert_eq!(
        (new[0].field.as_str(), new[0].fit),
        ("text", Fit::Compatible)
    );
    let optional = Field {
        optional: true,
        ..id.clone()
    };
    let missing = changed(&[&id], &[&optional]);
    assert_eq!((missing.len(), missing[0].fit), (1, Fit::Widened));
    assert_eq!(changed(&[&optional], &[&id])[0].fit, Fit::Compatible);
}

#[test]
fn fields_inside_of_records_are_named_with_them() {
    let record = |ty: Type| field("user", Kind::Record(vec![field("age", ty)]));
    let old = schema(&[record(int(32, true))]);
    let changes = compare(&old, &schema(&[record(Kind::Text.into())]));
    assert_eq!(changes.len(), 1, "{changes:?}");
    assert_eq!(
        (changes[0].field.as_str(), changes[0].fit),
        ("user.age", Fit::Broken)
    );
    assert_eq!(changes[0].why, "was a whole number of 32 bits, is text");
    let other = compare(&old, &schema(&[field("user", Kind::Text)]));
    assert_eq!((other.len(), other[0].fit), (1, Fit::Broken));
}
