CREATE TABLE "audit_batches" (
	"writer_id" text NOT NULL,
	"first_seq" bigint NOT NULL,
	"leaves" "bytea" NOT NULL,
	"chain_hash" "bytea" NOT NULL,
	"signature" "bytea" NOT NULL,
	"written_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"tree_index" bigint,
	CONSTRAINT "audit_batches_writer_id_first_seq_pk" PRIMARY KEY("writer_id","first_seq")
);
--> statement-breakpoint
CREATE TABLE "audit_checkpoints" (
	"tree_size" bigint PRIMARY KEY NOT NULL,
	"root" "bytea" NOT NULL,
	"note" text NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	"delivered_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "audit_counts" (
	"hour" timestamp (3) with time zone NOT NULL,
	"tenant_id" text NOT NULL,
	"status" text NOT NULL,
	"slot" integer NOT NULL,
	"requests" bigint NOT NULL,
	CONSTRAINT "audit_counts_tenant_id_hour_status_slot_pk" PRIMARY KEY("tenant_id","hour","status","slot")
);
--> statement-breakpoint
CREATE TABLE "audit_log" (
	"id" integer PRIMARY KEY NOT NULL,
	"origin" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "audit_rule_counts" (
	"hour" timestamp (3) with time zone NOT NULL,
	"tenant_id" text NOT NULL,
	"rule_id" text NOT NULL,
	"slot" integer NOT NULL,
	"requests" bigint NOT NULL,
	CONSTRAINT "audit_rule_counts_tenant_id_hour_rule_id_slot_pk" PRIMARY KEY("tenant_id","hour","rule_id","slot")
);
--> statement-breakpoint
CREATE TABLE "audit_superseded" (
	"writer_id" text NOT NULL,
	"seq" bigint NOT NULL,
	"audit_id" text NOT NULL,
	"row" jsonb NOT NULL,
	CONSTRAINT "audit_superseded_writer_id_seq_pk" PRIMARY KEY("writer_id","seq")
);
--> statement-breakpoint
CREATE TABLE "audit_tiles" (
	"level" integer NOT NULL,
	"index" bigint NOT NULL,
	"hashes" "bytea" NOT NULL,
	CONSTRAINT "audit_tiles_level_index_pk" PRIMARY KEY("level","index")
);
--> statement-breakpoint
CREATE TABLE "audit_writers" (
	"id" text PRIMARY KEY NOT NULL,
	"process_id" text NOT NULL,
	"public_key" text NOT NULL,
	"opened_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"closed_at" timestamp (3) with time zone,
	"last_seq" bigint
);
--> statement-breakpoint
ALTER TABLE "audit_entries" ADD COLUMN "writer_id" text;--> statement-breakpoint
ALTER TABLE "audit_entries" ADD COLUMN "seq" bigint;--> statement-breakpoint
ALTER TABLE "audit_entries" ADD COLUMN "tenant_prev" bigint;--> statement-breakpoint
ALTER TABLE "audit_entries" ADD COLUMN "salt" text;--> statement-breakpoint
ALTER TABLE "audit_entries" ADD COLUMN "payload_hash" text;--> statement-breakpoint
ALTER TABLE "audit_entries" ADD COLUMN "seal" text;--> statement-breakpoint
ALTER TABLE "audit_entries" ADD COLUMN "erased_by" text;--> statement-breakpoint
CREATE INDEX "audit_batches_new" ON "audit_batches" USING btree ("writer_id","first_seq") WHERE "audit_batches"."tree_index" is null;--> statement-breakpoint
CREATE UNIQUE INDEX "audit_batches_tree" ON "audit_batches" USING btree ("tree_index");--> statement-breakpoint
CREATE INDEX "audit_counts_hour" ON "audit_counts" USING btree ("hour");--> statement-breakpoint
CREATE INDEX "audit_rule_counts_hour" ON "audit_rule_counts" USING btree ("hour");--> statement-breakpoint
CREATE INDEX "audit_superseded_entry" ON "audit_superseded" USING btree ("audit_id");--> statement-breakpoint
CREATE INDEX "audit_writers_open" ON "audit_writers" USING btree ("process_id") WHERE "audit_writers"."closed_at" is null;--> statement-breakpoint
CREATE INDEX "audit_entries_leaf" ON "audit_entries" USING btree ("writer_id","seq");--> statement-breakpoint
CREATE INDEX "audit_entries_unchained" ON "audit_entries" USING btree ("timestamp") WHERE "audit_entries"."seq" is null and "audit_entries"."seal" is not null;--> statement-breakpoint
CREATE INDEX "audit_entries_user" ON "audit_entries" USING btree ("tenant_id","user_id") WHERE "audit_entries"."user_id" is not null;--> statement-breakpoint
INSERT INTO "audit_log" ("id", "origin") VALUES (1, 'earthflow/' || gen_random_uuid());

--> statement-breakpoint
-- From here on written by hand: audit_counts and audit_rule_counts are kept with every statement that writes entries. Counts outlive entries that are deleted.
-- A transaction counts in the first slot that no other one counts in, so that none waits for another's commit; where all are taken, they share.
CREATE FUNCTION audit_count_slot() RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
  FOR slot IN 0..15 LOOP
    IF pg_try_advisory_xact_lock(1700885108, slot) THEN RETURN slot; END IF;
  END LOOP;
  RETURN pg_backend_pid() % 16;
END
$$;
--> statement-breakpoint
-- Tenant '*' stands for all of them together: calls by hour, rules by day. Rows are written in the order of their key, so that two never wait for one another.
CREATE FUNCTION audit_count_inserted() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  mine integer;
BEGIN
  IF NOT EXISTS (SELECT FROM gained WHERE kind = 'exchange') THEN RETURN NULL; END IF;
  mine := audit_count_slot();
  INSERT INTO audit_counts AS c (tenant_id, hour, status, slot, requests)
  SELECT coalesce(tenant, '*'), hour, e.status, mine, count(*)
  FROM (
    SELECT coalesce(tenant_id, '') AS tenant, date_trunc('hour', "timestamp", 'UTC') AS hour, coalesce(status, '') AS status
    FROM gained WHERE kind = 'exchange'
  ) AS e
  GROUP BY GROUPING SETS ((tenant, hour, e.status), (hour, e.status)) ORDER BY 1, 2, 3
  ON CONFLICT (tenant_id, hour, status, slot) DO UPDATE SET requests = c.requests + excluded.requests;
  INSERT INTO audit_rule_counts AS c (tenant_id, hour, rule_id, slot, requests)
  SELECT coalesce(tenant, '*'), coalesce(e.hour, day), rule, mine, count(*)
  FROM (
    SELECT coalesce(tenant_id, '') AS tenant, date_trunc('hour', "timestamp", 'UTC') AS hour, date_trunc('day', "timestamp", 'UTC') AS day, rule
    FROM gained, jsonb_array_elements_text(CASE jsonb_typeof(rules_triggered) WHEN 'array' THEN rules_triggered END) AS rule
    WHERE kind = 'exchange' AND rule IS NOT NULL
  ) AS e
  GROUP BY GROUPING SETS ((tenant, e.hour, rule), (day, rule)) ORDER BY 1, 2, 3
  ON CONFLICT (tenant_id, hour, rule_id, slot) DO UPDATE SET requests = c.requests + excluded.requests;
  RETURN NULL;
END
$$;
--> statement-breakpoint
CREATE FUNCTION audit_count_updated() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  mine integer;
BEGIN
  IF NOT EXISTS (
    SELECT kind, tenant_id, "timestamp", status, rules_triggered FROM lost
    EXCEPT ALL SELECT kind, tenant_id, "timestamp", status, rules_triggered FROM gained
  ) THEN RETURN NULL; END IF;
  mine := audit_count_slot();
  INSERT INTO audit_counts AS c (tenant_id, hour, status, slot, requests)
  SELECT coalesce(tenant, '*'), hour, e.status, mine, sum(sign)
  FROM (
    SELECT coalesce(tenant_id, '') AS tenant, date_trunc('hour', "timestamp", 'UTC') AS hour, coalesce(status, '') AS status, sign
    FROM (SELECT 1 AS sign, * FROM gained UNION ALL SELECT -1, * FROM lost) AS changed WHERE kind = 'exchange'
  ) AS e
  GROUP BY GROUPING SETS ((tenant, hour, e.status), (hour, e.status)) HAVING sum(sign) <> 0 ORDER BY 1, 2, 3
  ON CONFLICT (tenant_id, hour, status, slot) DO UPDATE SET requests = c.requests + excluded.requests;
  INSERT INTO audit_rule_counts AS c (tenant_id, hour, rule_id, slot, requests)
  SELECT coalesce(tenant, '*'), coalesce(e.hour, day), rule, mine, sum(sign)
  FROM (
    SELECT coalesce(tenant_id, '') AS tenant, date_trunc('hour', "timestamp", 'UTC') AS hour, date_trunc('day', "timestamp", 'UTC') AS day, rule, sign
    FROM (SELECT 1 AS sign, * FROM gained UNION ALL SELECT -1, * FROM lost) AS changed,
      jsonb_array_elements_text(CASE jsonb_typeof(rules_triggered) WHEN 'array' THEN rules_triggered END) AS rule
    WHERE kind = 'exchange' AND rule IS NOT NULL
  ) AS e
  GROUP BY GROUPING SETS ((tenant, e.hour, rule), (day, rule)) HAVING sum(sign) <> 0 ORDER BY 1, 2, 3
  ON CONFLICT (tenant_id, hour, rule_id, slot) DO UPDATE SET requests = c.requests + excluded.requests;
  RETURN NULL;
END
$$;
--> statement-breakpoint
CREATE TRIGGER audit_count_inserted AFTER INSERT ON audit_entries REFERENCING NEW TABLE AS gained
  FOR EACH STATEMENT EXECUTE FUNCTION audit_count_inserted();
--> statement-breakpoint
CREATE TRIGGER audit_count_updated AFTER UPDATE ON audit_entries REFERENCING OLD TABLE AS lost NEW TABLE AS gained
  FOR EACH STATEMENT EXECUTE FUNCTION audit_count_updated();
--> statement-breakpoint
-- What there is already.
INSERT INTO audit_counts (tenant_id, hour, status, slot, requests)
SELECT coalesce(tenant, '*'), hour, e.status, 0, count(*)
FROM (
  SELECT coalesce(tenant_id, '') AS tenant, date_trunc('hour', "timestamp", 'UTC') AS hour, coalesce(status, '') AS status
  FROM audit_entries WHERE kind = 'exchange'
) AS e
GROUP BY GROUPING SETS ((tenant, hour, e.status), (hour, e.status)) ORDER BY 1, 2, 3;
--> statement-breakpoint
INSERT INTO audit_rule_counts (tenant_id, hour, rule_id, slot, requests)
SELECT coalesce(tenant, '*'), coalesce(e.hour, day), rule, 0, count(*)
FROM (
  SELECT coalesce(tenant_id, '') AS tenant, date_trunc('hour', "timestamp", 'UTC') AS hour, date_trunc('day', "timestamp", 'UTC') AS day, rule
  FROM audit_entries, jsonb_array_elements_text(CASE jsonb_typeof(rules_triggered) WHEN 'array' THEN rules_triggered END) AS rule
  WHERE kind = 'exchange' AND rule IS NOT NULL
) AS e
GROUP BY GROUPING SETS ((tenant, e.hour, rule), (day, rule)) ORDER BY 1, 2, 3;
