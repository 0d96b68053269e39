// npm install @segment/analytics-node; its address is there from the start:
//
//   node examples/segment/track.js
//   curl -s 'http://localhost:8000/events?topic=segment.track'
import { Analytics } from '@segment/analytics-node';

const { CHRONICLEWEAVER_URL: host = 'http://localhost:8000', CHRONICLEWEAVER_KEY: writeKey = 'none' } =
  process.env;

const analytics = new Analytics({ host, writeKey, maxRetries: 10 });
analytics.track({ userId: 'u-1', event: 'Order Placed', properties: { total: 12.5 } });
await analytics.closeAndFlush();
