export { conformanceChecks, type ConformanceCheck, type ConformanceTarget } from './conformance.ts';
export { createProbe, type Probe, type ProbeFrame } from './probe.ts';
