"""Notes of an imagined team, and questions that their authors' colleagues might ask.

Written before any of it was searched, by one author. A paraphrase avoids the content words of its
note; who half remembers has one or two of them.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A memory, and what to find it by."""

    text: str
    paraphrase: str
    half_remembered: str
    exact: str = ""


NOTES = (
    Note(
        text="We're using PostgreSQL for the user table",
        paraphrase="how is the DB set up?",
        half_remembered="which table for users",
        exact="PostgreSQL",
    ),
    Note(
        text="The CI set-up takes nine minutes, most of it spent installing packages",
        paraphrase="why are builds so slow?",
        half_remembered="CI minutes packages",
    ),
    Note(
        text="Passwords are hashed with argon2id; never store them in another way",
        paraphrase="how do we protect login secrets?",
        half_remembered="hash for password",
        exact="argon2id",
    ),
    Note(
        text="Sessions expire after twelve hours without a request",
        paraphrase="when are people logged out?",
        half_remembered="session expiry hours",
    ),
    Note(
        text="Payments go through Stripe; refunds are done by hand on Fridays",
        paraphrase="how does a customer get money back?",
        half_remembered="stripe refund",
        exact="Stripe",
    ),
    Note(
        text="The API answers 429 when a client sends more than 100 requests a minute",
        paraphrase="is there any throttling?",
        half_remembered="requests per minute limit",
        exact="429",
    ),
    Note(
        text="Logs are kept for thirty days, then deleted by cron on the log host",
        paraphrase="what is the retention period of our traces?",
        half_remembered="how many days of logs",
    ),
    Note(
        text="User avatars are resized to 256 pixels by a worker after the upload",
        paraphrase="what happens to profile pictures?",
        half_remembered="avatar size",
    ),
    Note(
        text="Feature flags live in config/flags.toml and are read once at start",
        paraphrase="how can I turn a new capability off without deploying?",
        half_remembered="where are the flags",
        exact="flags.toml",
    ),
    Note(
        text="Set up your editor with the shared formatter before the first commit",
        paraphrase="code style for newcomers",
        half_remembered="formatter in the editor",
    ),
    Note(
        text="The staging cluster has three nodes and is rebooted every Sunday night",
        paraphrase="pre-production was down over the weekend, is that normal?",
        half_remembered="staging reboot",
    ),
    Note(
        text="Kafka topic orders.v2 has twelve partitions, keyed by customer id",
        paraphrase="how is the purchase event stream split?",
        half_remembered="partitions of the orders topic",
        exact="orders.v2",
    ),
    Note(
        text="Redis in front of the catalogue caches product pages for one hour",
        paraphrase="why do price changes show up late?",
        half_remembered="cache for products",
        exact="redis",
    ),
    Note(
        text="Releases: tag main, the pipeline builds, signs and ships the rest",
        paraphrase="how do we get a new version out?",
        half_remembered="tag to release",
    ),
    Note(
        text="Our on-call week begins on Monday at nine and ends with a written handover",
        paraphrase="who gets paged and from when?",
        half_remembered="on-call handover",
    ),
    Note(
        text="All times are UTC until they are shown to a person",
        paraphrase="which timezone do we save dates in?",
        half_remembered="UTC times",
    ),
    Note(
        text="Translations come from the vendor as JSON files on the first of the month",
        paraphrase="where do the texts in other languages come from?",
        half_remembered="vendor translation files",
    ),
    Note(
        text="Mobile talks to the gateway over gRPC, browsers over REST",
        paraphrase="what protocol does the phone app speak?",
        half_remembered="gateway grpc rest",
        exact="gRPC",
    ),
    Note(
        text="Metrics are scraped every fifteen seconds and drawn in Grafana",
        paraphrase="where can I see charts of system load?",
        half_remembered="grafana metrics interval",
        exact="Grafana",
    ),
    Note(
        text="The old importer runs out of memory on files above two gigabytes",
        paraphrase="big uploads crash",
        half_remembered="importer file size",
    ),
    Note(
        text="Nightly tests replay a copy of last week's traffic against main",
        paraphrase="do we check with realistic production load?",
        half_remembered="traffic replay",
    ),
    Note(
        text="Docker images are built from the slim base and scanned for CVEs on push",
        paraphrase="how are vulnerabilities in containers found?",
        half_remembered="image scan",
        exact="CVEs",
    ),
    Note(
        text="Emails leave through Postmark; the sandbox key swallows them in tests",
        paraphrase="which service delivers our messages to customers?",
        half_remembered="emails in tests",
        exact="Postmark",
    ),
    Note(
        text="Search is backed by an OpenSearch index rebuilt from Postgres each night",
        paraphrase="why do new items not appear when I look for them?",
        half_remembered="index rebuild at night",
        exact="OpenSearch",
    ),
    Note(
        text="Errors go to Sentry, sampled at ten percent in production",
        paraphrase="where are crash reports collected?",
        half_remembered="error sampling",
        exact="Sentry",
    ),
    Note(
        text="Terraform state sits in an S3 bucket locked through DynamoDB",
        paraphrase="how is our infrastructure described and kept?",
        half_remembered="terraform bucket",
        exact="DynamoDB",
    ),
    Note(
        text="Backups of the primary are taken hourly and restored once a month as a drill",
        paraphrase="what if we lose all our data?",
        half_remembered="backup drill",
    ),
    Note(
        text="TypeScript is strict in new modules; legacy ones are exempt until touched",
        paraphrase="must I annotate variables in the frontend?",
        half_remembered="strict modules",
        exact="TypeScript",
    ),
    Note(
        text="The webhook retries five times with growing pauses, then parks the event",
        paraphrase="what happens if a partner's endpoint is unreachable?",
        half_remembered="webhook retry",
    ),
    Note(
        text="Access to production needs a ticket and a second pair of eyes",
        paraphrase="may I log in to the live machines alone?",
        half_remembered="production access ticket",
    ),
    Note(
        text="Tables in reports are sorted by date unless the reader asks otherwise",
        paraphrase="default ordering of the statistics",
        half_remembered="sort reports",
    ),
    Note(
        text="Buttons are blue with round corners; red is for what can't be undone",
        paraphrase="visual design of dangerous actions",
        half_remembered="button colour",
    ),
    Note(
        text="Invoices are rendered to PDF by WeasyPrint in a queue of their own",
        paraphrase="how are bills generated?",
        half_remembered="invoice pdf",
        exact="WeasyPrint",
    ),
    Note(
        text="Alice owns the checkout, Bob the ledger, Carol both mobile apps",
        paraphrase="whom do I ask about accounting code?",
        half_remembered="who owns the checkout",
    ),
    Note(
        text="We settled on trunk-based development: branches live two days at most",
        paraphrase="what's our git workflow?",
        half_remembered="branch days",
    ),
    Note(
        text="Deleting an account keeps its orders but blanks name, address and mail",
        paraphrase="GDPR right to be forgotten",
        half_remembered="delete account orders",
    ),
    Note(
        text="ADR-017: services talk through events, never to each other's database",
        paraphrase="may one component read another's storage directly?",
        half_remembered="events between services",
        exact="ADR-017",
    ),
    Note(
        text="max_connections is 200 on the primary; PgBouncer pools in front of it",
        paraphrase="too many clients at once exhaust the server",
        half_remembered="connection pool limit",
        exact="max_connections",
    ),
    Note(
        text="parseInvoiceDate() accepts both 2024-03-01 and 01.03.2024",
        paraphrase="which day formats can be imported?",
        half_remembered="parse invoice dates",
        exact="parseInvoiceDate",
    ),
    Note(
        text="Set BILLING_DRY_RUN=1 when you test the subscription job at home",
        paraphrase="avoid charging real cards during local experiments",
        half_remembered="dry run of billing",
        exact="BILLING_DRY_RUN",
    ),
)
