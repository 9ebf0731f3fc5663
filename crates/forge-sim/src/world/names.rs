//! Believable names. All invented; people's names in several scripts, since real teams have them.

use super::model::{FailureKind, Shape};

/// Somebody who commits.
#[derive(Debug)]
pub struct Person {
    /// Account name.
    pub login: &'static str,
    /// Display name.
    pub name: &'static str,
}

impl Person {
    /// Mail address, in a domain that cannot exist.
    #[must_use]
    pub fn email(&self) -> String {
        format!("{}@example.invalid", self.login)
    }
}

const fn p(login: &'static str, name: &'static str) -> Person {
    Person { login, name }
}

/// Everybody. The first one owns the tokens.
pub const PEOPLE: &[Person] = &[
    p("mira", "Mira Lindqvist"),
    p("jonas", "Jonas Weber"),
    p("lee", "Lee Jae-won"),
    p("noor", "نور الهاشمي"),
    p("tomas", "Tomás Ibáñez"),
    p("ida", "Ida Sørensen"),
    p("kenji", "佐藤 健二"),
    p("priya", "Priya Raman"),
    p("olek", "Олександр Коваль"),
    p("amara", "Amara Okafor"),
    p("felix", "Félix Brânduș"),
    p("yael", "יעל ברק"),
    p("sven", "Sven-Åke Öberg"),
    p("chloe", "Chloé Dubois"),
    p("rashid", "Rashid Karimov"),
    p("mei", "陈美"),
    p("davi", "Davi Gonçalves"),
    p("nina", "Nina Petrović"),
    p("theo", "Theo van der Berg"),
    p("zoe", "Zoë O'Connell"),
    p("renovate-bot", "Renovate Bot"),
    p("hana", "Hana Nováková"),
    p("omar", "Omar El-Sayed"),
    p("grace", "Grace Kim-Whitfield"),
];

/// Name of a long project, near what the platforms permit.
const LONG: &str =
    "customer-identity-and-access-management-reconciliation-service-for-legacy-branch-offices-v2";

/// `(namespace, path, shape)` of the first projects, in order.
pub(crate) const PROJECTS: &[(&str, &str, Shape)] = &[
    ("payments", "ledger-api", Shape::Broken { minutes: 134 }),
    ("web-platform", "checkout", Shape::Broken { minutes: 47 }),
    ("data", "warehouse-etl", Shape::Warning),
    ("web-platform", "design-system", Shape::Green),
    ("payments", "ledger-deploy", Shape::Waiting),
    ("web-platform", "docs", Shape::CanceledNewest),
    ("sandbox", "prototype-x", Shape::NoRuns),
    ("infra", "terraform-live", Shape::Green),
    ("embedded", "firmware-nightly", Shape::Broken { minutes: 542 }),
    ("sandbox", "static-site", Shape::NoCi),
    ("payments", "fraud-rules", Shape::Green),
    ("infra", "old-puppet", Shape::Archived),
    ("data", "feature-store", Shape::Green),
    ("sandbox", "new-idea", Shape::Empty),
    ("legacy", "cobol-bridge", Shape::CiDisabled),
    ("mobile", "ios-app", Shape::Green),
    ("data", "q3-migration", Shape::Quiet),
    ("mobile", "android-app", Shape::Green),
    ("embedded", "bootloader", Shape::Archived),
    ("infra", "dns-zones", Shape::Quiet),
    ("mobile/shared", "push-gateway", Shape::Green),
    ("web-platform", LONG, Shape::Green),
    ("i18n", "uebersetzungen", Shape::Green),
    ("web-platform", "web.platform_v2-BETA", Shape::Green),
    ("sandbox", "empty-lab", Shape::Empty),
    ("infra", "k8s-clusters", Shape::Warning),
    ("payments", "invoice-renderer", Shape::Green),
    ("search", "ranker", Shape::Green),
    ("data", "event-schemas", Shape::Green),
    ("search", "indexer", Shape::Green),
    ("embedded", "sensor-hub", Shape::Green),
    ("mira", "dotfiles", Shape::Green),
    ("payments", "card-vault", Shape::Green),
    ("security", "secret-scanner", Shape::Green),
    ("data", "dbt-models", Shape::Green),
    ("security", "policy-bundle", Shape::Green),
    ("platform", "api-gateway", Shape::Green),
    ("observability", "alert-rules", Shape::Green),
    ("platform", "identity", Shape::Green),
    ("observability", "trace-collector", Shape::Green),
    ("platform", "feature-flags", Shape::Green),
    ("web-platform", "storefront", Shape::Green),
    ("logistics", "route-planner", Shape::Green),
    ("web-platform", "landing-pages", Shape::Green),
    ("logistics", "warehouse-robots", Shape::Green),
    ("growth", "experiments", Shape::Green),
    ("logistics", "label-printer", Shape::Green),
    ("growth", "mail-templates", Shape::Green),
    ("ml", "churn-model", Shape::Green),
    ("tools", "release-train", Shape::Green),
    ("ml", "image-tagger", Shape::Green),
    ("tools", "lint-config", Shape::Green),
    ("support", "ticket-router", Shape::Green),
    ("tools", "build-cache", Shape::Green),
    ("support", "chat-widget", Shape::Green),
    ("infra", "ami-builder", Shape::Green),
    ("finance", "ledger-export", Shape::Green),
    ("infra", "vault-config", Shape::Green),
    ("finance", "tax-tables", Shape::Green),
    ("web-platform", "status-page", Shape::Green),
];

pub(crate) const GROUPS: &[&str] = &[
    "payments",
    "web-platform",
    "data",
    "infra",
    "mobile",
    "embedded",
    "search",
    "security",
    "platform",
    "logistics",
    "growth",
    "ml",
    "tools",
    "support",
    "finance",
    "observability",
];
pub(crate) const NOUNS: &[&str] = &[
    "gateway",
    "worker",
    "portal",
    "sync",
    "agent",
    "proxy",
    "reports",
    "scheduler",
    "importer",
    "billing",
    "router",
    "catalog",
    "notifier",
    "console",
    "sdk",
    "cli",
    "metrics",
    "archiver",
    "loader",
    "planner",
];

/// Display names, descriptions, branches and titles that trip the careless: right-to-left, wide, combining, markup.
pub(crate) const UNICODE_NAMES: &[(&str, &str)] =
    &[("uebersetzungen", "Übersetzungen 翻訳 – ترجمات 🌍"), ("sensor-hub", "حساسات المصنع (sensor hub)")];
pub(crate) const UNICODE_DESCRIPTION: &str =
    "Texte für alle Sprachen · كل النصوص بكل اللغات · すべての言語のテキスト";

pub(crate) const FEATURE_BRANCHES: &[&str] = &[
    "feature/half-even-rounding",
    "feature/lazy-basket",
    "fix/cold-start-crash",
    "chore/bump-toolchain",
    "feature/eu-north-1",
    "fix/retry-on-503",
    "renovate/major-deps",
    "feature/dark-mode",
    "spike/stream-parser",
    "fix/1234-timezone-of-invoices",
    "feature/größere-schrift",
    "fix/كتابة-من-اليمين",
    "user/kenji/try-arena",
    "feature/audit-log#2",
];

pub(crate) const TITLES: &[&str] = &[
    "Round half even in fees",
    "Lazy-load the basket",
    "Bump icons to 4.1",
    "Tighten velocity rule for new cards",
    "Fix crash on cold start",
    "Add eu-north-1 replica",
    "Backfill Q3 aggregates",
    "Retry idempotent calls once",
    "Drop the legacy importer",
    "Cache schema lookups",
    "Move secrets to the vault",
    "Speed up the cold path by 40 %",
    "Rename Account to Ledger",
    "Document the on-call runbook",
    "Use <details> for long tables",
    "Handle empty answers from upstream",
    "Split the monolith's settings page",
    "Update dependency serde to v1.0.230",
    "تصحيح ترتيب الأعمدة في التقرير",
    "日付の書式を修正",
    "Make the parser stream & bounded",
    "Remove unused feature flag “new-nav”",
    "Pin base image by digest",
    "Log request ids everywhere",
    "Index orders by customer",
    "Raise timeout of the slow suite",
    "Translate the footer",
    "Guard against double submit",
    "Let admins export as CSV",
    "Refactor: one error type per module",
];
pub(crate) const FIX_TITLES: &[&str] = &[
    "Fix the build",
    "Repair flaky assertion",
    "Fix rounding in the fee test",
    "Revert “Cache schema lookups”",
    "Wait for the port before the test",
];
pub(crate) const ISSUE_TITLES: &[&str] = &[
    "Totals differ by one cent",
    "Search forgets the filter on back",
    "الصفحة الرئيسية لا تُعرض من اليمين",
    "Crash when the list is empty",
    "Please support ARM runners",
    "Export times out for large accounts",
    "Docs: explain retention",
];
pub(crate) const LABELS: &[&str] =
    &["bug", "enhancement", "ci", "good first issue", "priority::high", "backend"];

/// How jobs fail: by a word in the job's name.
pub(crate) struct FailureText {
    pub(crate) job_contains: &'static str,
    pub(crate) kind: FailureKind,
    pub(crate) summary: &'static str,
    pub(crate) details: &'static [&'static str],
    pub(crate) file: &'static str,
    pub(crate) line: u32,
}

/// The last one fits every job.
pub(crate) const FAILURES: &[FailureText] = &[
    FailureText {
        job_contains: "unit",
        kind: FailureKind::Script,
        summary: "3 of 1,204 tests failed",
        details: &[
            "FAIL  fees::rounding::rounds_half_to_even",
            "thread 'fees::rounding::rounds_half_to_even' panicked at src/fees/rounding.rs:118:9:",
            "assertion `left == right` failed: 2.5 cents must go to 2",
            "  left: Cents(3)",
            " right: Cents(2)",
            "FAIL  fees::rounding::negative_amounts",
            "FAIL  ledger::closing::closes_the_quarter",
        ],
        file: "src/fees/rounding.rs",
        line: 118,
    },
    FailureText {
        job_contains: "e2e",
        kind: FailureKind::Timeout,
        summary: "e2e (firefox): timeout after 30 min",
        details: &[
            "  ✘  checkout.spec.ts:42:3 › basket › pays with a saved card",
            "     waiting for locator('button#pay') to be enabled",
        ],
        file: "e2e/checkout.spec.ts",
        line: 42,
    },
    FailureText {
        job_contains: "package",
        kind: FailureKind::RunnerSystem,
        summary: "no space left on device",
        details: &["write /var/lib/builds/image.tar: no space left on device"],
        file: "Dockerfile",
        line: 17,
    },
    FailureText {
        job_contains: "lint",
        kind: FailureKind::Script,
        summary: "12 problems (12 errors, 0 warnings)",
        details: &["models/orders.sql:12:1  L034  Select wildcards then simple targets before calculations"],
        file: "models/orders.sql",
        line: 12,
    },
    FailureText {
        job_contains: "build",
        kind: FailureKind::Script,
        summary: "could not compile `core` due to 1 previous error",
        details: &[
            "error[E0308]: mismatched types",
            "  --> src/basket.rs:77:24",
            "   |",
            "77 |         total: line.price * line.count,",
            "   |                ^^^^^^^^^^^^^^^^^^^^^^^ expected `Cents`, found `u64`",
        ],
        file: "src/basket.rs",
        line: 77,
    },
    FailureText {
        job_contains: "integration",
        kind: FailureKind::Script,
        summary: "1 of 86 tests failed: orders survive a restart",
        details: &[
            "AssertionError: expected 200 to equal 503",
            "    at Context.<anonymous> (test/integration/restart.js:61:14)",
        ],
        file: "test/integration/restart.js",
        line: 61,
    },
    FailureText {
        job_contains: "",
        kind: FailureKind::Script,
        summary: "command exited with code 1",
        details: &["ERROR: upstream answered 502 Bad Gateway"],
        file: "scripts/deploy.sh",
        line: 23,
    },
];
