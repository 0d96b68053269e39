import cors from '@fastify/cors';
import { EPOCH_HEADER } from './epochs.ts';
import { EXPIRED_HEADER } from './read/cursor-expired.ts';
import type { Api } from './api.ts';

/** How long a browser may cache a permission, seconds. Chromium accepts at most two hours. */
const REMEMBERED_S = 7200;

/**
 * Lets pages of these origins (all origins if one is `*`) call the service from a browser (WHATWG Fetch, 3.2). Call
 * this before keys are checked: a browser's preflight carries none, and a page must be able to read a refusal.
 * Credentials that a browser adds by itself are not allowed, so a page uses the key that it was given, or none.
 */
export async function allowOrigins(api: Api, origins: readonly string[]): Promise<void> {
  if (origins.length === 0) return;
  // The plugin's own route answers nothing; its hook answers, whether or not the path exists.
  api.addHook('onRoute', (route) => {
    if (route.url === '*') route.config = { scope: 'open', ...route.config };
  });
  await api.register(cors, {
    origin: [...origins],
    methods: ['GET', 'HEAD', 'POST', 'PUT', 'DELETE'],
    allowedHeaders: ['authorization', 'content-type', 'content-encoding', 'last-event-id'],
    exposedHeaders: [EPOCH_HEADER, EXPIRED_HEADER, 'allow', 'link', 'retry-after', 'www-authenticate'],
    maxAge: REMEMBERED_S,
    // Strict mode would answer any other OPTIONS request with something other than a problem document.
    strictPreflight: false,
  });
}
