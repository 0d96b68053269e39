import { collector } from './kinds/collector.ts';
import { generic } from './kinds/generic.ts';
import { github } from './kinds/github.ts';
import { loki } from './kinds/loki.ts';
import { segment } from './kinds/segment.ts';
import { shopify } from './kinds/shopify.ts';
import { slack } from './kinds/slack.ts';
import { standardWebhooks } from './kinds/standard-webhooks.ts';
import { stripe } from './kinds/stripe.ts';
import type { KindName, SourceKind } from './source.ts';

export const KIND_OF: Readonly<Record<KindName, SourceKind>> = {
  github,
  stripe,
  shopify,
  slack,
  'standard-webhooks': standardWebhooks,
  generic,
  collector,
  loki,
  segment,
};
