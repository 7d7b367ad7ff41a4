/** How `npm run migration` writes a new migration: the difference between src/db/schema.ts and what drizzle/ already holds. */
import { defineConfig } from 'drizzle-kit'

export default defineConfig({ dialect: 'postgresql', schema: './src/db/schema.ts', out: './drizzle' })
