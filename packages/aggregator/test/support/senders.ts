import { createHmac } from 'node:crypto';
import { sign as octokitSign } from '@octokit/webhooks-methods';
import { Webhook as StandardWebhook } from 'standardwebhooks';
import { Stripe } from 'stripe';
import type { KindName } from '../../src/sources/source.ts';

/** A secret as Standard Webhooks has them. */
export function whsec(fill: number): string {
  return `whsec_${Buffer.alloc(24, fill).toString('base64')}`;
}

/** A provider that signs what it sends. */
export interface Sender {
  readonly kind: KindName;
  readonly secrets: readonly [old: string, new_: string];
  /** The body of an event with this id. */
  readonly body: (id: string) => string;
  /** The headers of an attempt, signed by the provider's own package where it has one. */
  readonly headers: (
    id: string,
    body: string,
    secret: string,
    timeMs: number,
  ) => Promise<Record<string, string>>;
  /** What becomes of it, with the topic `KIND.{type}`. */
  readonly event: (id: string) => { id: string; topic: string; timestamp: string; payload: string };
  readonly tellsTime: boolean;
}

const TIME = '2026-01-02T03:00:00Z';
export const stripe = new Stripe('sk_test_none');

export const SENDERS: readonly Sender[] = [
  {
    kind: 'github',
    secrets: ['an old one', 'a new one'],
    body: () => `{"action": "opened", "issue": {"number": 1.0, "updated_at": "${TIME}"}}`,
    headers: async (id, body, secret) => ({
      'content-type': 'application/json',
      'x-github-event': 'issues',
      'x-github-delivery': id,
      'x-github-hook-id': '1',
      'x-hub-signature-256': await octokitSign(secret, body),
    }),
    event: (id) => ({
      id,
      topic: 'github.issues',
      timestamp: TIME,
      payload: `{"headers":{"x-github-event":"issues"},"body":{"action":"opened","issue":{"number":1.0,"updated_at":"${TIME}"}}}`,
    }),
    tellsTime: false,
  },
  {
    kind: 'stripe',
    secrets: ['whsec_old', 'whsec_new'],
    body: (id) =>
      `{"id":"${id}","object":"event","created":1767322800,"pending_webhooks":2,"type":"charge.succeeded"}`,
    headers: async (_id, payload, secret, timeMs) => ({
      'content-type': 'application/json; charset=utf-8',
      'stripe-signature': stripe.webhooks.generateTestHeaderString({
        payload,
        secret,
        timestamp: Math.floor(timeMs / 1000),
      }),
    }),
    event: (id) => ({
      id,
      topic: 'stripe.charge.succeeded',
      timestamp: '2026-01-02T03:00:00.000Z',
      payload: `{"body":{"id":"${id}","object":"event","created":1767322800,"type":"charge.succeeded"}}`,
    }),
    tellsTime: true,
  },
  {
    kind: 'shopify',
    secrets: ['an old one', 'a new one'],
    body: () => `{"id":820982911946154508}`,
    headers: async (id, body, secret) => ({
      'content-type': 'application/json',
      'x-shopify-topic': 'orders/create',
      'x-shopify-shop-domain': 'a.example',
      'x-shopify-triggered-at': '2026-01-02T03:00:00.123456789Z',
      'x-shopify-webhook-id': id,
      'x-shopify-hmac-sha256': createHmac('sha256', secret).update(body).digest('base64'),
    }),
    event: (id) => ({
      id,
      topic: 'shopify.orders.create',
      timestamp: '2026-01-02T03:00:00.123456789Z',
      payload: `{"headers":{"x-shopify-topic":"orders/create","x-shopify-shop-domain":"a.example"},"body":{"id":820982911946154508}}`,
    }),
    tellsTime: false,
  },
  {
    kind: 'slack',
    secrets: ['an old one', 'a new one'],
    body: (id) =>
      `{"token":"t","type":"event_callback","event":{"type":"message"},"event_id":"${id}","event_time":1767322800}`,
    headers: async (_id, body, secret, timeMs) => ({
      'content-type': 'application/json',
      'x-slack-request-timestamp': `${Math.floor(timeMs / 1000)}`,
      'x-slack-retry-num': `${timeMs}`,
      'x-slack-signature': slackSignature(secret, `${Math.floor(timeMs / 1000)}`, body),
    }),
    event: (id) => ({
      id,
      topic: 'slack.message',
      timestamp: '2026-01-02T03:00:00.000Z',
      payload: `{"body":{"type":"event_callback","event":{"type":"message"},"event_id":"${id}","event_time":1767322800}}`,
    }),
    tellsTime: true,
  },
  {
    kind: 'standard-webhooks',
    secrets: [whsec(1), whsec(2)],
    body: () => `{"type":"user.created","timestamp":"${TIME}","data":{}}`,
    headers: async (id, body, secret, timeMs) => ({
      'content-type': 'application/json',
      'webhook-id': id,
      'webhook-timestamp': `${Math.floor(timeMs / 1000)}`,
      'webhook-signature': new StandardWebhook(secret).sign(id, new Date(timeMs), body),
    }),
    event: (id) => ({
      id,
      topic: 'standard-webhooks.user.created',
      timestamp: TIME,
      payload: `{"headers":{"content-type":"application/json"},"body":{"type":"user.created","timestamp":"${TIME}","data":{}}}`,
    }),
    tellsTime: true,
  },
];

export function slackSignature(secret: string, time: string, body: string): string {
  return `v0=${createHmac('sha256', secret).update(`v0:${time}:${body}`).digest('hex')}`;
}
