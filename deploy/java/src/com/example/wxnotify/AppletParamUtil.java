package com.example.wxnotify;

import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Makes the data of a message. A method per template is no longer needed, since
 * the label that WeChat's console shows is a key; the two below are kept for
 * callers that have them.
 */
public final class AppletParamUtil {

    private AppletParamUtil() {}

    /**
     * Keys and values in turn: {@code of("申请人", name, "申请时间", time)}. A key is the
     * label, WeChat's key ({@code thing1}) or the name in wxnotify's catalog.
     */
    public static Map<String, Object> of(String... keysAndValues) {
        if (keysAndValues.length % 2 != 0) {
            throw new IllegalArgumentException("a key without a value");
        }
        Map<String, Object> data = new LinkedHashMap<>();
        for (int i = 0; i < keysAndValues.length; i += 2) {
            data.put(keysAndValues[i], keysAndValues[i + 1]);
        }
        return data;
    }

    /** 待审核通知: 申请人, 申请人部门, 申请人工种, 申请时间, 申请物品. */
    public static Map<String, Object> getNeedConfirmParam(
            String thing1Value, String thing11Value, String thing12Value, String time4Value, String thing10Value) {
        return of("thing1", thing1Value, "thing11", thing11Value, "thing12", thing12Value,
                "time4", time4Value, "thing10", thing10Value);
    }

    /** 数据报表生成通知: 报表名称, 数据统计周期. */
    public static Map<String, Object> getDataReportParam(String thing1Value, String thing2Value) {
        return of("thing1", thing1Value, "thing2", thing2Value);
    }
}
