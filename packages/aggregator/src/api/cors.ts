import cors from '@fastify/cors';
import { EPOCH_HEADER } from './epochs.ts';
import type { Api } from './api.ts';

/** How long a browser may remember what it was allowed, seconds. Chromium takes no more than two hours. */
const REMEMBERED_S = 7200;

/**
 * Lets pages of these origins, or of all where one is `*`, call the service from a browser (WHATWG Fetch, 3.2). To be
 * called before keys are asked for: a browser sends none with its question, and a page must be able to read a refusal.
 * Credentials that a browser adds by itself are never wanted, so a page has the key that it was given or none.
 */
export async function allowOrigins(api: Api, origins: readonly string[]): Promise<void> {
  if (origins.length === 0) return;
  // The plugin's own route answers nothing: its hook does, whether or not there is such a path.
  api.addHook('onRoute', (route) => {
    if (route.url === '*') route.config = { scope: 'open', ...route.config };
  });
  await api.register(cors, {
    origin: [...origins],
    methods: ['GET', 'HEAD', 'POST', 'PUT', 'DELETE'],
    allowedHeaders: ['authorization', 'content-type', 'content-encoding', 'last-event-id'],
    exposedHeaders: [EPOCH_HEADER, 'allow', 'link', 'retry-after', 'www-authenticate'],
    maxAge: REMEMBERED_S,
    // Strictness would answer any other OPTIONS with what is no problem document.
    strictPreflight: false,
  });
}
