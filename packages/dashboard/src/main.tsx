import { render } from 'preact';
import { App } from './app.tsx';
import { startRouting } from './route.ts';
import { startFeatures } from './service/features.ts';
import { startPulse } from './service/pulse.ts';
import { startTheme } from './theme.ts';

startTheme();
startRouting();
startPulse();
startFeatures();
render(<App />, document.getElementById('app')!);
