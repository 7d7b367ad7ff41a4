CREATE TABLE "api_keys" (
	"id" text PRIMARY KEY NOT NULL,
	"tenant_id" text NOT NULL,
	"prefix" text NOT NULL,
	"hash" text NOT NULL,
	"pepper_id" text NOT NULL,
	"name" text NOT NULL,
	"scopes" jsonb NOT NULL,
	"expires_at" timestamp (3) with time zone,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"last_used_at" timestamp (3) with time zone,
	"revoked_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "audit_entries" (
	"audit_id" text NOT NULL,
	"timestamp" timestamp (3) with time zone NOT NULL,
	"kind" text NOT NULL,
	"tenant_id" text,
	"request_id" text NOT NULL,
	"agent_id" text,
	"key_prefix" text,
	"user_id" text,
	"status" text,
	"outcome" text NOT NULL,
	"reason" text,
	"dialect" text,
	"endpoint" text,
	"model" text,
	"upstream" text,
	"attempts" jsonb,
	"stream" boolean,
	"rules_evaluated" integer,
	"rules_triggered" jsonb,
	"findings" jsonb,
	"policy_version" integer,
	"metadata" jsonb,
	"prompt_hash" text,
	"forwarded_hash" text,
	"uninspected_bytes" bigint,
	"degraded" text,
	"usage" jsonb,
	"cost_usd" numeric(20, 9),
	"latency_ms" integer,
	"upstream_ms" integer,
	"first_byte_ms" integer,
	"overhead_ms" integer,
	"http_status" integer,
	CONSTRAINT "audit_entries_audit_id_timestamp_pk" PRIMARY KEY("audit_id","timestamp")
) PARTITION BY RANGE ("timestamp");
--> statement-breakpoint
CREATE TABLE "audit_entries_default" PARTITION OF "audit_entries" DEFAULT;
--> statement-breakpoint
CREATE TABLE "audit_open" (
	"audit_id" text PRIMARY KEY NOT NULL,
	"tenant_id" text NOT NULL,
	"process_id" text NOT NULL,
	"opened_at" timestamp (3) with time zone NOT NULL,
	"entry" jsonb NOT NULL
);
--> statement-breakpoint
CREATE TABLE "changes" (
	"seq" bigserial PRIMARY KEY NOT NULL,
	"kind" text NOT NULL,
	"tenant_id" text,
	"at" timestamp (3) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "data_keys" (
	"id" text PRIMARY KEY NOT NULL,
	"tenant_id" text,
	"purpose" text NOT NULL,
	"wrappings" jsonb NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "policy_versions" (
	"tenant_id" text NOT NULL,
	"version" integer NOT NULL,
	"rules" jsonb NOT NULL,
	"created_by" text NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "policy_versions_tenant_id_version_pk" PRIMARY KEY("tenant_id","version")
);
--> statement-breakpoint
CREATE TABLE "processes" (
	"id" text PRIMARY KEY NOT NULL,
	"host" text NOT NULL,
	"pid" integer NOT NULL,
	"version" text NOT NULL,
	"started_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"heartbeat_at" timestamp (3) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "rules" (
	"id" text PRIMARY KEY NOT NULL,
	"tenant_id" text NOT NULL,
	"name" text NOT NULL,
	"condition" jsonb NOT NULL,
	"action" text NOT NULL,
	"priority" integer DEFAULT 50 NOT NULL,
	"mode" text DEFAULT 'enforce' NOT NULL,
	"reversible" boolean DEFAULT false NOT NULL,
	"active" boolean DEFAULT true NOT NULL,
	"preset" text,
	"metadata" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp (3) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "tenants" (
	"id" text PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"rules_preset" text,
	"max_requests_per_minute" integer,
	"allowed_models" jsonb,
	"contact_email" text,
	"active" boolean DEFAULT true NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "upstreams" (
	"id" text PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"tenant_id" text,
	"dialects" jsonb NOT NULL,
	"base_url" text NOT NULL,
	"credential" text,
	"credential_mode" text NOT NULL,
	"models" jsonb NOT NULL,
	"priority" integer DEFAULT 0 NOT NULL,
	"weight" integer DEFAULT 1 NOT NULL,
	"region" text,
	"timeouts" jsonb NOT NULL,
	"active" boolean DEFAULT true NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
ALTER TABLE "api_keys" ADD CONSTRAINT "api_keys_tenant_id_tenants_id_fk" FOREIGN KEY ("tenant_id") REFERENCES "public"."tenants"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "policy_versions" ADD CONSTRAINT "policy_versions_tenant_id_tenants_id_fk" FOREIGN KEY ("tenant_id") REFERENCES "public"."tenants"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "rules" ADD CONSTRAINT "rules_tenant_id_tenants_id_fk" FOREIGN KEY ("tenant_id") REFERENCES "public"."tenants"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "upstreams" ADD CONSTRAINT "upstreams_tenant_id_tenants_id_fk" FOREIGN KEY ("tenant_id") REFERENCES "public"."tenants"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE UNIQUE INDEX "api_keys_prefix" ON "api_keys" USING btree ("prefix");--> statement-breakpoint
CREATE UNIQUE INDEX "api_keys_hash" ON "api_keys" USING btree ("hash");--> statement-breakpoint
CREATE INDEX "api_keys_tenant" ON "api_keys" USING btree ("tenant_id");--> statement-breakpoint
CREATE INDEX "audit_entries_tenant_time" ON "audit_entries" USING btree ("tenant_id","timestamp");--> statement-breakpoint
CREATE INDEX "audit_entries_request" ON "audit_entries" USING btree ("request_id");--> statement-breakpoint
CREATE INDEX "audit_open_process" ON "audit_open" USING btree ("process_id");--> statement-breakpoint
CREATE UNIQUE INDEX "data_keys_owner" ON "data_keys" USING btree ("purpose",coalesce("tenant_id", ''));--> statement-breakpoint
CREATE INDEX "rules_tenant" ON "rules" USING btree ("tenant_id");--> statement-breakpoint
CREATE UNIQUE INDEX "upstreams_name" ON "upstreams" USING btree (coalesce("tenant_id", ''),"name");