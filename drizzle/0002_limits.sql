CREATE TABLE "agents" (
	"id" text PRIMARY KEY NOT NULL,
	"tenant_id" text NOT NULL,
	"name" text NOT NULL,
	"limits" jsonb,
	"allowed_models" jsonb,
	"quarantine" jsonb,
	"active" boolean DEFAULT true NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "budget_windows" (
	"budget_id" text NOT NULL,
	"starts_at" timestamp (3) with time zone NOT NULL,
	"spent" bigint DEFAULT 0 NOT NULL,
	"reserved" bigint DEFAULT 0 NOT NULL,
	CONSTRAINT "budget_windows_budget_id_starts_at_pk" PRIMARY KEY("budget_id","starts_at")
);
--> statement-breakpoint
CREATE TABLE "budgets" (
	"id" text PRIMARY KEY NOT NULL,
	"tenant_id" text NOT NULL,
	"scope" text NOT NULL,
	"scope_id" text NOT NULL,
	"amount" bigint NOT NULL,
	"unit" text NOT NULL,
	"window" text NOT NULL,
	"mode" text NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "cost_ledger" (
	"tenant_id" text NOT NULL,
	"day" date NOT NULL,
	"agent_id" text NOT NULL,
	"key_prefix" text NOT NULL,
	"user_id" text NOT NULL,
	"model" text NOT NULL,
	"upstream" text NOT NULL,
	"requests" bigint NOT NULL,
	"unpriced" bigint NOT NULL,
	"estimated" bigint NOT NULL,
	"input_tokens" bigint NOT NULL,
	"output_tokens" bigint NOT NULL,
	"cost_nano" bigint NOT NULL,
	CONSTRAINT "cost_ledger_pk" PRIMARY KEY("tenant_id","day","agent_id","key_prefix","user_id","model","upstream")
);
--> statement-breakpoint
CREATE TABLE "quarantines" (
	"id" text PRIMARY KEY NOT NULL,
	"tenant_id" text NOT NULL,
	"agent_id" text NOT NULL,
	"reason" text NOT NULL,
	"created_by" text NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"released_by" text,
	"released_at" timestamp (3) with time zone,
	"comment" text
);
--> statement-breakpoint
CREATE TABLE "reservations" (
	"audit_id" text NOT NULL,
	"budget_id" text NOT NULL,
	"starts_at" timestamp (3) with time zone NOT NULL,
	"amount" bigint NOT NULL,
	"process_id" text NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "reservations_audit_id_budget_id_pk" PRIMARY KEY("audit_id","budget_id")
);
--> statement-breakpoint
ALTER TABLE "api_keys" ADD COLUMN "agent_id" text;--> statement-breakpoint
ALTER TABLE "api_keys" ADD COLUMN "limits" jsonb;--> statement-breakpoint
ALTER TABLE "audit_entries" ADD COLUMN "budgets" jsonb;--> statement-breakpoint
ALTER TABLE "tenants" ADD COLUMN "max_requests_per_day" integer;--> statement-breakpoint
ALTER TABLE "tenants" ADD COLUMN "limits" jsonb;--> statement-breakpoint
ALTER TABLE "agents" ADD CONSTRAINT "agents_tenant_id_tenants_id_fk" FOREIGN KEY ("tenant_id") REFERENCES "public"."tenants"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "budgets" ADD CONSTRAINT "budgets_tenant_id_tenants_id_fk" FOREIGN KEY ("tenant_id") REFERENCES "public"."tenants"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "quarantines" ADD CONSTRAINT "quarantines_tenant_id_tenants_id_fk" FOREIGN KEY ("tenant_id") REFERENCES "public"."tenants"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "quarantines" ADD CONSTRAINT "quarantines_agent_id_agents_id_fk" FOREIGN KEY ("agent_id") REFERENCES "public"."agents"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE UNIQUE INDEX "agents_name" ON "agents" USING btree ("tenant_id","name");--> statement-breakpoint
CREATE INDEX "budgets_tenant" ON "budgets" USING btree ("tenant_id");--> statement-breakpoint
CREATE UNIQUE INDEX "quarantines_agent" ON "quarantines" USING btree ("agent_id") WHERE "quarantines"."released_at" is null;--> statement-breakpoint
CREATE INDEX "quarantines_tenant" ON "quarantines" USING btree ("tenant_id","created_at");--> statement-breakpoint
CREATE INDEX "reservations_process" ON "reservations" USING btree ("process_id");--> statement-breakpoint
ALTER TABLE "api_keys" ADD CONSTRAINT "api_keys_agent_id_agents_id_fk" FOREIGN KEY ("agent_id") REFERENCES "public"."agents"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "audit_entries_agent" ON "audit_entries" USING btree ("agent_id","timestamp") WHERE "audit_entries"."agent_id" is not null;