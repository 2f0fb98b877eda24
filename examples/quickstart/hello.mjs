const who = process.argv[2] ?? 'the schedule';
console.log(`Hello, started by ${who}, attempt ${process.env.CONDUCTOR_ATTEMPT ?? '-'}`);
