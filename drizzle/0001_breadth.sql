CREATE TABLE "dictionaries" (
	"tenant_id" text NOT NULL,
	"name" text NOT NULL,
	"terms" jsonb NOT NULL,
	"case_sensitive" boolean DEFAULT false NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "dictionaries_tenant_id_name_pk" PRIMARY KEY("tenant_id","name")
);
--> statement-breakpoint
ALTER TABLE "policy_versions" ADD COLUMN "dictionaries" jsonb DEFAULT '{}'::jsonb NOT NULL;--> statement-breakpoint
ALTER TABLE "tenants" ADD COLUMN "max_tokens_per_minute" bigint;--> statement-breakpoint
ALTER TABLE "tenants" ADD COLUMN "max_tokens_per_day" bigint;--> statement-breakpoint
ALTER TABLE "tenants" ADD COLUMN "max_concurrency" integer;--> statement-breakpoint
ALTER TABLE "tenants" ADD COLUMN "default_max_output_tokens" integer;--> statement-breakpoint
ALTER TABLE "tenants" ADD COLUMN "limits_without_redis" text DEFAULT 'local' NOT NULL;--> statement-breakpoint
ALTER TABLE "tenants" ADD COLUMN "allowed_regions" jsonb;--> statement-breakpoint
ALTER TABLE "tenants" ADD COLUMN "uninspectable" text DEFAULT 'warn' NOT NULL;--> statement-breakpoint
ALTER TABLE "tenants" ADD COLUMN "stream_stop" text DEFAULT 'hard' NOT NULL;--> statement-breakpoint
ALTER TABLE "tenants" ADD COLUMN "audit_durability" text;--> statement-breakpoint
ALTER TABLE "tenants" ADD COLUMN "audit_retention_days" integer;--> statement-breakpoint
ALTER TABLE "tenants" ADD COLUMN "escalation_wait_seconds" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "tenants" ADD COLUMN "forward_proxy_credentials" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "upstreams" ADD COLUMN "prices" jsonb DEFAULT '[]'::jsonb NOT NULL;--> statement-breakpoint
ALTER TABLE "dictionaries" ADD CONSTRAINT "dictionaries_tenant_id_tenants_id_fk" FOREIGN KEY ("tenant_id") REFERENCES "public"."tenants"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "audit_entries_prompt" ON "audit_entries" USING btree ("tenant_id","prompt_hash");