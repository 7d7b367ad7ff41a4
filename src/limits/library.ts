/**
 * What is used of rate-limiter-flexible: its interface, its time-out and its insurance. Single files, not the package's index, which loads fifteen stores.
 * Its own limiters are fixed windows that charge rejected calls and know no limit beside the one, which is wrong for costs.
 */
import { createRequire } from 'node:module'
import type * as library from 'rate-limiter-flexible'

const require = createRequire(import.meta.url)

/** What a limiter of ours extends to fit into the library's wrappers. */
export const CompatibleLimiter = require('rate-limiter-flexible/lib/RateLimiterCompatibleAbstract.js') as typeof library.RateLimiterCompatibleAbstract

/** Resolved where something was taken, thrown where it was not. */
export const Result = require('rate-limiter-flexible/lib/RateLimiterRes.js') as typeof library.RateLimiterRes
export type Result = library.RateLimiterRes

/** A limiter that answers in time, or whose insurance does. */
export const TimeLimited = require('rate-limiter-flexible/lib/RLWrapperTimeouts.js') as typeof library.RLWrapperTimeouts
