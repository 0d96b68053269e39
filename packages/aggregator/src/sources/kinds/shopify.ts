import { headerIn, textIn, timeIn } from '../one-event.ts';
import { requireSigned, signatureBytes } from '../signatures.ts';
import { Refusal } from '../source.ts';
import { madeSecretFaults, signingHeader, webhook } from '../webhook.ts';

/** Shopify (https://shopify.dev/docs/apps/build/webhooks). A repeated delivery has the same id, time and body. */
export const shopify = webhook({
  maxAgeMs: null,
  faultsIn: madeSecretFaults,
  verify: (delivery, { secrets }) => {
    const text = signingHeader(delivery, 'x-shopify-hmac-sha256');
    const signature = signatureBytes(text, 'base64', 'sha256');
    if (signature === undefined)
      throw new Refusal('unsigned', 'the header x-shopify-hmac-sha256 has no SHA-256');
    requireSigned({ keys: secrets, algorithm: 'sha256', content: [delivery.body], signatures: [signature] });
  },
  made: ({ headers }, content) => ({
    id: headerIn(headers, 'x-shopify-webhook-id'),
    idPlace: 'the header X-Shopify-Webhook-Id',
    headers: ['x-shopify-topic', 'x-shopify-shop-domain', 'x-shopify-api-version', 'x-shopify-event-id'],
    // A topic of Shopify's has a slash, one here has dots.
    type: headerIn(headers, 'x-shopify-topic')?.replaceAll('/', '.'),
    time:
      timeIn(headerIn(headers, 'x-shopify-triggered-at')) ??
      timeIn(textIn({ headers, content }, '/updated_at')),
  }),
});
