package com.example.wxnotify;

/**
 * wxnotify refused a call, or did not answer it. The text names the operation,
 * the status and the code, and nothing of the request.
 */
public class WxnotifyException extends RuntimeException {

    private static final long serialVersionUID = 1L;

    private final int status;
    private final String code;
    private final long retryAfter;
    private final String problem;

    WxnotifyException(String operation, int status, String code, long retryAfter, String problem, Throwable cause) {
        super("wxnotify: " + operation + ": " + (status == 0 ? "no answer" : (status + " " + code).trim()), cause);
        this.status = status;
        this.code = code;
        this.retryAfter = retryAfter;
        this.problem = problem;
    }

    /** The HTTP status; 0 when there was no answer, and nobody knows what became of the call. */
    public int status() {
        return status;
    }

    /** The problem's code, such as {@code code_used}; "" when there is none. */
    public String code() {
        return code;
    }

    /** Seconds of the header Retry-After; -1 when there is none. */
    public long retryAfter() {
        return retryAfter;
    }

    /** The whole problem as JSON, which names every bad field; "" when there is none. */
    public String problem() {
        return problem;
    }
}
