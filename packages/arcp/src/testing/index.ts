export { conformanceChecks, type ConformanceCheck, type ConformanceTarget } from './conformance.ts';
export { createProbe, type Probe, type ProbeFrame } from './probe.ts';
export type { Transport, TransportClose, TransportListener } from '../transport.ts';
export type { Envelope } from '../wire.ts';
