package com.example.wxnotify;

import java.util.LinkedHashMap;
import java.util.Map;
import org.springframework.stereotype.Component;

/**
 * Sends subscribe messages of a Mini Program. Callers stay as they are: the
 * signature is that of the class this one replaces. It no longer fetches a
 * token nor calls WeChat; it writes a row, in the caller's transaction, and
 * wxnotify does the rest. So it cannot fail for a reason of WeChat's, and a
 * business that is rolled back tells nobody.
 */
@Component
public class AppletMsgSendUtil {

    private final Outbox outbox;
    private final CurrentUser currentUser;

    public AppletMsgSendUtil(Outbox outbox, CurrentUser currentUser) {
        this.outbox = outbox;
        this.currentUser = currentUser;
    }

    /**
     * Tells the user who is logged in.
     *
     * @param templateId WeChat's template id, or its alias in wxnotify
     * @param page what a tap on the message opens, with its query; null for nothing
     * @param data what {@link AppletParamUtil} makes, or texts by WeChat's key, the
     *     label (申请人) or the name in wxnotify's catalog
     */
    public void msgSend(String templateId, String page, Map<String, Object> data) {
        msgSend(templateId, page, data, currentUser.id());
    }

    /** Tells another user, by the company's own id: the applicant, the next approver. */
    public void msgSend(String templateId, String page, Map<String, Object> data, Long userId) {
        msgSend(templateId, page, data, userId == null ? null : userId.toString());
    }

    /** Tells another user whose id is a text. */
    public void msgSend(String templateId, String page, Map<String, Object> data, String userId) {
        Map<String, Object> notification = new LinkedHashMap<>();
        notification.put("template_id", templateId);
        notification.put("user_id", userId);
        if (page != null && !page.isEmpty()) {
            notification.put("page", page);
        }
        notification.put("data", texts(data));
        outbox.add(WxnotifyClient.write(notification));
    }

    // texts makes of {"thing1": {"value": "text"}}, which WeChat takes, what
    // wxnotify's API takes: {"thing1": "text"}. What is missing goes as nothing or
    // as an empty text, and wxnotify refuses it with the field's name: a notice
    // that is not right must not stop the business.
    private static Map<String, Object> texts(Map<String, Object> data) {
        Map<String, Object> texts = new LinkedHashMap<>();
        if (data == null) {
            return texts;
        }
        for (Map.Entry<String, Object> entry : data.entrySet()) {
            Object value = entry.getValue();
            if (value instanceof Map) {
                value = ((Map<?, ?>) value).get("value");
            }
            texts.put(entry.getKey(), value == null ? "" : value instanceof Number ? value : String.valueOf(value));
        }
        return texts;
    }
}
