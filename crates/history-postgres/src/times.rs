//! Instants and days as PostgreSQL sends them, without a crate for calendars between.

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo, PgValueFormat, PgValueRef};
use sqlx::{Decode, Encode, Postgres, Type};

/// Milliseconds from 1970 to 2000, PostgreSQL's epoch.
const EPOCH_MS: i64 = 946_684_800_000;
/// Days from 1970 to 2000.
const EPOCH_DAYS: i32 = 10_957;

/// A `timestamptz`, milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ms(pub(crate) i64);

/// A `date`, days since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Date(pub(crate) i32);

fn binary(value: PgValueRef<'_>) -> Result<PgValueRef<'_>, BoxDynError> {
    match value.format() {
        PgValueFormat::Binary => Ok(value),
        PgValueFormat::Text => Err("a time came as text".into()),
    }
}

impl Type<Postgres> for Ms {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("timestamptz")
    }
}

impl PgHasArrayType for Ms {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("_timestamptz")
    }
}

impl Encode<'_, Postgres> for Ms {
    fn encode_by_ref(&self, buf: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        // Microseconds.
        <i64 as Encode<Postgres>>::encode_by_ref(&self.0.saturating_sub(EPOCH_MS).saturating_mul(1000), buf)
    }
}

impl<'r> Decode<'r, Postgres> for Ms {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        let micros = <i64 as Decode<Postgres>>::decode(binary(value)?)?;
        Ok(Self(micros.div_euclid(1000).saturating_add(EPOCH_MS)))
    }
}

impl Type<Postgres> for Date {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("date")
    }
}

impl PgHasArrayType for Date {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("_date")
    }
}

impl Encode<'_, Postgres> for Date {
    fn encode_by_ref(&self, buf: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        <i32 as Encode<Postgres>>::encode_by_ref(&self.0.saturating_sub(EPOCH_DAYS), buf)
    }
}

impl<'r> Decode<'r, Postgres> for Date {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        Ok(Self(<i32 as Decode<Postgres>>::decode(binary(value)?)?.saturating_add(EPOCH_DAYS)))
    }
}
