// Call a model of TensorFlow Lite from C#, through the same C library as tflite.c: docs/exec.md.
//
// The setting BINDING_COPY of the environment says how arrays cross the border: `naive` copies element by element, as
// a binding for arrays of any type does; `pinned` holds the array in place, and the library copies the whole of it.
using System;
using System.Globalization;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Text;

static class Native
{
    const string Library = "tensorflowlite_c"; // libtensorflowlite_c.so, beside the program

    public const int ClockMonotonic = 1;

    [StructLayout(LayoutKind.Sequential)]
    public struct Moment
    {
        IntPtr seconds, nanoseconds; // as long as a word of the machine
        public long Seconds { get { return (long)seconds; } }
        public long Nanoseconds { get { return (long)nanoseconds; } }
    }

    [DllImport("libc")] public static extern int clock_gettime(int clock, out Moment now);
    [DllImport(Library)] public static extern IntPtr TfLiteVersion();
    [DllImport(Library)] public static extern IntPtr TfLiteModelCreateFromFile(string path);
    [DllImport(Library)] public static extern IntPtr TfLiteInterpreterOptionsCreate();
    [DllImport(Library)] public static extern void TfLiteInterpreterOptionsSetNumThreads(IntPtr options, int threads);
    [DllImport(Library)] public static extern void TfLiteInterpreterOptionsAddDelegate(IntPtr options, IntPtr delegated);
    [DllImport(Library)] public static extern IntPtr TfLiteXNNPackDelegateCreate(IntPtr options);
    [DllImport(Library)] public static extern IntPtr TfLiteInterpreterCreate(IntPtr model, IntPtr options);
    [DllImport(Library)] public static extern int TfLiteInterpreterAllocateTensors(IntPtr interpreter);
    [DllImport(Library)] public static extern int TfLiteInterpreterInvoke(IntPtr interpreter);
    [DllImport(Library)] public static extern IntPtr TfLiteInterpreterGetInputTensor(IntPtr interpreter, int index);
    [DllImport(Library)] public static extern IntPtr TfLiteInterpreterGetOutputTensor(IntPtr interpreter, int index);
    [DllImport(Library)] public static extern int TfLiteTensorType(IntPtr tensor);
    [DllImport(Library)] public static extern UIntPtr TfLiteTensorByteSize(IntPtr tensor);
    [DllImport(Library)] public static extern IntPtr TfLiteTensorData(IntPtr tensor);
    [DllImport(Library)] public static extern int TfLiteTensorCopyFromBuffer(IntPtr tensor, IntPtr data, UIntPtr bytes);
    [DllImport(Library)] public static extern int TfLiteTensorCopyToBuffer(IntPtr tensor, IntPtr data, UIntPtr bytes);
}

class Failure : Exception
{
    public Failure(string message) : base(message) { }
}

/// How arrays of the program get into tensors and back.
interface ICopy
{
    int Set(IntPtr tensor, Array values);
    int Get(IntPtr tensor, Array values);
}

/// Each element by itself: boxed, marshalled, unboxed. Works for any array, and costs an allocation an element.
class NaiveCopy : ICopy
{
    public int Set(IntPtr tensor, Array values)
    {
        IntPtr place = Native.TfLiteTensorData(tensor);
        foreach (object value in values)
        {
            Marshal.StructureToPtr(value, place, false);
            place = IntPtr.Add(place, sizeof(float));
        }
        return 0;
    }

    public int Get(IntPtr tensor, Array values)
    {
        IntPtr place = Native.TfLiteTensorData(tensor);
        for (int index = 0; index < values.Length; index++)
        {
            values.SetValue(Marshal.PtrToStructure(place, typeof(float)), index);
            place = IntPtr.Add(place, sizeof(float));
        }
        return 0;
    }
}

/// The whole array at once: the collector leaves a pinned array in place while the library copies.
class PinnedCopy : ICopy
{
    public int Set(IntPtr tensor, Array values) { return Held(tensor, values, Native.TfLiteTensorCopyFromBuffer); }

    public int Get(IntPtr tensor, Array values) { return Held(tensor, values, Native.TfLiteTensorCopyToBuffer); }

    static int Held(IntPtr tensor, Array values, Func<IntPtr, IntPtr, UIntPtr, int> copy)
    {
        GCHandle handle = GCHandle.Alloc(values, GCHandleType.Pinned);
        try { return copy(tensor, handle.AddrOfPinnedObject(), (UIntPtr)(values.Length * sizeof(float))); }
        finally { handle.Free(); }
    }
}

class Program
{
    const int Float32 = 1, RunsMax = 1000000;
    static readonly string Mono = Type.GetType("Mono.Runtime").GetMethod("GetDisplayName",
        BindingFlags.NonPublic | BindingFlags.Static).Invoke(null, null).ToString();
    readonly ICopy copy;
    readonly IntPtr interpreter, input, output;
    readonly float[] given, answer;
    readonly long[][] samples = new long[4][];

    Program(string path, ICopy copy)
    {
        this.copy = copy;
        IntPtr model = Native.TfLiteModelCreateFromFile(path), options = Native.TfLiteInterpreterOptionsCreate();
        if (model == IntPtr.Zero) throw new Failure("the model cannot be loaded");
        Native.TfLiteInterpreterOptionsSetNumThreads(options, (int)Setting("SETTING_THREADS", 1));
        if (Environment.GetEnvironmentVariable("BENCHFLEET_SETTING_KERNELS") == "xnnpack")
            Native.TfLiteInterpreterOptionsAddDelegate(options, Native.TfLiteXNNPackDelegateCreate(IntPtr.Zero));
        interpreter = Native.TfLiteInterpreterCreate(model, options);
        if (interpreter == IntPtr.Zero || Native.TfLiteInterpreterAllocateTensors(interpreter) != 0)
            throw new Failure("the tensors cannot be allocated");
        input = Native.TfLiteInterpreterGetInputTensor(interpreter, 0);
        output = Native.TfLiteInterpreterGetOutputTensor(interpreter, 0);
        if (Native.TfLiteTensorType(input) != Float32 || Native.TfLiteTensorType(output) != Float32)
            throw new Failure("this program wants a model with one input and one output of float32");
        given = new float[(int)Native.TfLiteTensorByteSize(input) / sizeof(float)];
        answer = new float[(int)Native.TfLiteTensorByteSize(output) / sizeof(float)];
        // The same numbers in every language, so that outputs can be compared.
        for (long place = 0; place < given.Length; place++) given[place] = (float)(place * 7919 % 1000) / 1000;
        for (int part = 0; part < samples.Length; part++) samples[part] = new long[RunsMax];
    }

    static double Setting(string name, double otherwise)
    {
        string text = Environment.GetEnvironmentVariable("BENCHFLEET_" + name);
        return text == null ? otherwise : double.Parse(text, CultureInfo.InvariantCulture);
    }

    static long Now() // mono's own Stopwatch counts in steps of 100 ns
    {
        Native.Moment now;
        Native.clock_gettime(Native.ClockMonotonic, out now);
        return now.Seconds * 1000000000L + now.Nanoseconds;
    }

    int CallRepeatedly(double runsMin, double secondsMin)
    {
        long begin = Now(), done = begin;
        int runs = 0, failed = 0;
        while (runs < RunsMax && (runs < runsMin || done - begin < secondsMin * 1e9))
        {
            long start = Now();
            failed |= copy.Set(input, given);
            long set = Now();
            failed |= Native.TfLiteInterpreterInvoke(interpreter);
            long invoked = Now();
            failed |= copy.Get(output, answer);
            done = Now();
            samples[0][runs] = set - start;
            samples[1][runs] = invoked - set;
            samples[2][runs] = done - invoked;
            samples[3][runs++] = done - start;
        }
        if (failed != 0) throw new Failure("an inference failed");
        return runs;
    }

    static void SaySamples(string metric, long[] values, int count)
    {
        StringBuilder line = new StringBuilder();
        for (int place = 0; place < count; place++) line.Append(place > 0 ? "," : "").Append(values[place]);
        Console.WriteLine("{\"metric\": \"" + metric + "\", \"samples\": [" + line + "]}");
    }

    static void SayMedian(string metric, long[] values, int count)
    {
        Array.Sort(values, 0, count);
        Console.WriteLine("{\"metric\": \"" + metric + "\", \"value\": " + values[count / 2] + "}");
    }

    void Measure(string name)
    {
        CallRepeatedly(Setting("WARMUP_RUNS_MIN", 5), Setting("WARMUP_SECONDS_MIN", 0.3));
        long begin = Now();
        int runs = CallRepeatedly(Setting("RUNS_MIN", 50), Setting("SECONDS_MIN", 1));
        long end = Now();
        string[] told = Array.ConvertAll(answer, value => value.ToString("R", CultureInfo.InvariantCulture));
        string output = string.Join(", ", told, 0, Math.Min(told.Length, 16));
        string version = Marshal.PtrToStringAnsi(Native.TfLiteVersion());
        Console.WriteLine("{\"runtime\": {\"name\": \"" + name + "\", \"version\": \"" + version + "\", \"mono\": \""
            + Program.Mono + "\", \"output\": [" + output + "]}}");
        Console.WriteLine("{\"window\": {\"begin_mono_ns\": " + begin + ", \"end_mono_ns\": " + end + "}}");
        SaySamples("latency_ns", samples[1], runs);
        SaySamples("call_ns", samples[3], runs);
        SayMedian("set_input_ns", samples[0], runs);
        SayMedian("get_output_ns", samples[2], runs);
        Console.WriteLine("{\"done\": true}");
    }

    static void Main()
    {
        bool isNaive = Environment.GetEnvironmentVariable("BINDING_COPY") == "naive";
        try
        {
            string path = Environment.GetEnvironmentVariable("BENCHFLEET_MODEL");
            Program program = new Program(path, isNaive ? (ICopy)new NaiveCopy() : new PinnedCopy());
            program.Measure(isNaive ? "tflite, C# naive" : "tflite, C# pinned");
        }
        catch (Exception failure) // the border of the program: what went wrong is a line of the interface
        {
            string words = failure.Message.Replace("\\", "/").Replace("\"", "'").Replace("\n", " ");
            Console.WriteLine("{\"failure\": {\"kind\": \"load-error\", \"message\": \"" + words + "\"}}");
        }
    }
}
