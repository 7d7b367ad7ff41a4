CREATE TABLE "escalations" (
	"id" text PRIMARY KEY NOT NULL,
	"tenant_id" text NOT NULL,
	"status" text DEFAULT 'pending' NOT NULL,
	"request_id" text NOT NULL,
	"audit_id" text NOT NULL,
	"caller" text NOT NULL,
	"key_prefix" text NOT NULL,
	"agent_id" text,
	"user_id" text,
	"dialect" text NOT NULL,
	"endpoint" text,
	"model" text,
	"rules_triggered" jsonb NOT NULL,
	"policy_version" integer NOT NULL,
	"body_hash" text NOT NULL,
	"call_hash" text NOT NULL,
	"content" text,
	"content_bytes" integer NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"expires_at" timestamp (3) with time zone NOT NULL,
	"decided_at" timestamp (3) with time zone,
	"decided_by" text,
	"comment" text,
	"used_at" timestamp (3) with time zone,
	"used_by" text
);
--> statement-breakpoint
CREATE TABLE "webhook_deliveries" (
	"id" text PRIMARY KEY NOT NULL,
	"event_id" text NOT NULL,
	"webhook_id" text NOT NULL,
	"tenant_id" text,
	"state" text DEFAULT 'pending' NOT NULL,
	"due_at" timestamp (3) with time zone NOT NULL,
	"lease" text,
	"tries" integer DEFAULT 0 NOT NULL,
	"attempts" jsonb DEFAULT '[]'::jsonb NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"finished_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "webhook_events" (
	"id" text PRIMARY KEY NOT NULL,
	"sequence" bigserial NOT NULL,
	"tenant_id" text,
	"type" text NOT NULL,
	"request_id" text NOT NULL,
	"at" timestamp (3) with time zone NOT NULL,
	"data" jsonb NOT NULL,
	"subject" text,
	"minute" timestamp (3) with time zone,
	"count" integer DEFAULT 1 NOT NULL,
	"is_open" boolean DEFAULT false NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "webhooks" (
	"id" text PRIMARY KEY NOT NULL,
	"tenant_id" text,
	"url" text NOT NULL,
	"description" text DEFAULT '' NOT NULL,
	"events" jsonb NOT NULL,
	"active" boolean DEFAULT true NOT NULL,
	"secret" text NOT NULL,
	"previous_secret" text,
	"previous_until" timestamp (3) with time zone,
	"failing_since" timestamp (3) with time zone,
	"failed_at" timestamp (3) with time zone,
	"disabled_reason" text,
	"created_by" text NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
ALTER TABLE "audit_entries" ADD COLUMN "escalation_id" text;--> statement-breakpoint
ALTER TABLE "audit_entries" ADD COLUMN "approved_by" text;--> statement-breakpoint
ALTER TABLE "audit_entries" ADD COLUMN "held_audit_id" text;--> statement-breakpoint
ALTER TABLE "escalations" ALTER COLUMN "content" SET STORAGE EXTERNAL;--> statement-breakpoint
CREATE UNIQUE INDEX "escalations_pending" ON "escalations" USING btree ("tenant_id","caller","call_hash","policy_version") WHERE "escalations"."status" = 'pending';--> statement-breakpoint
CREATE INDEX "escalations_tenant" ON "escalations" USING btree ("tenant_id","created_at");--> statement-breakpoint
CREATE INDEX "escalations_user" ON "escalations" USING btree ("tenant_id","user_id") WHERE "escalations"."user_id" is not null;--> statement-breakpoint
CREATE INDEX "escalations_held" ON "escalations" USING btree ("expires_at") WHERE "escalations"."content" is not null;--> statement-breakpoint
CREATE INDEX "webhook_deliveries_due" ON "webhook_deliveries" USING btree ("webhook_id","due_at") WHERE "webhook_deliveries"."state" = 'pending';--> statement-breakpoint
CREATE INDEX "webhook_deliveries_late" ON "webhook_deliveries" USING btree ("due_at") WHERE "webhook_deliveries"."state" = 'pending';--> statement-breakpoint
CREATE INDEX "webhook_deliveries_webhook" ON "webhook_deliveries" USING btree ("webhook_id","state","created_at");--> statement-breakpoint
CREATE INDEX "webhook_deliveries_finished" ON "webhook_deliveries" USING btree ("finished_at") WHERE "webhook_deliveries"."finished_at" is not null;--> statement-breakpoint
CREATE INDEX "webhook_deliveries_event" ON "webhook_deliveries" USING btree ("event_id");--> statement-breakpoint
CREATE INDEX "webhook_deliveries_created" ON "webhook_deliveries" USING btree ("created_at");--> statement-breakpoint
CREATE UNIQUE INDEX "webhook_events_open" ON "webhook_events" USING btree ("type",coalesce("tenant_id", ''),"subject","minute") WHERE "webhook_events"."is_open";--> statement-breakpoint
CREATE INDEX "webhook_events_created" ON "webhook_events" USING btree ("created_at");--> statement-breakpoint
CREATE INDEX "webhook_events_user" ON "webhook_events" USING btree ("tenant_id",("data"->>'user_id')) WHERE "webhook_events"."data"->>'user_id' is not null;--> statement-breakpoint
CREATE INDEX "webhooks_tenant" ON "webhooks" USING btree ("tenant_id");