export { type Look, type Rates, Course, lookAtBooks, lookAtMetrics } from './course.ts';
export { type Exposition, readExposition, sampleText, sampleValue, samplesBy } from './exposition.ts';
export { countOf, grouped, rateText, secondsText, sizeText, spanText } from './figures.ts';
export { troublesIn } from './troubles.ts';
